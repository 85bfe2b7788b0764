"""Synthesis by the texture model of Portilla and Simoncelli (IJCV 40, 2000), from plenoptic.

Their model is one of grey pictures: some 700 statistics of a steerable pyramid of four scales and
four orientations, which a picture of noise is changed to have. Colour is treated in the customary
way, by principal components: a picture's colours are turned to the axes along which they are
uncorrelated, and each component has the statistics of a grey picture. Beside them stand, to the
model's advantage, correlations between the components, band by band, of the coefficients and of
their magnitudes, without which edges in brightness and in hue would part.
"""

import contextlib
import io
import itertools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

from coopnets.errors import CoopNetsError, DivergenceError

SCALES, ORIENTATIONS = 4, 4
ITERATIONS = 100
"""As in plenoptic's documentation."""
ARITHMETIC = torch.float32
"""Likewise."""
CHUNK = 20
"""Iterations between two looks at the loss."""
SETTLED = 0.02
"""Part of the loss that a chunk must take away, or the synthesis has converged."""
LBFGS = {
    "lr": 1, "max_iter": 10, "max_eval": 10, "history_size": 100, "line_search_fn": "strong_wolfe",
}  # fmt: skip
"""As plenoptic's authors run it."""
SMALLEST = 1e-3
"""Spread of a component, on a scale where white is 1, below which it is taken for none."""


@dataclass(frozen=True, eq=False)
class Synthesis:
    """A picture with the statistics of another.

    Attributes:
        pixels: uint8 (C, H, W).
        losses: distance of the statistics at the start, after each chunk, and at the end.
        iterations: of L-BFGS, each of up to ten evaluations.
        converged: whether it stopped because nothing more was won.
        seconds: wall time.
    """

    pixels: Tensor
    losses: tuple[float, ...]
    iterations: int
    converged: bool
    seconds: float


def synthesise(
    original: Tensor, *, iterations: int = ITERATIONS, seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Synthesis:  # fmt: skip
    """A picture as large as the original, with its statistics.

    Args:
        original: uint8 (C, H, W), sides multiples of 16 and at least 128.
        iterations: at most so many.
        seed: of the noise that it starts at.
        say: told how far it is.

    Raises:
        CoopNetsError: plenoptic is not installed.
        DivergenceError: the loss is not finite.
    """
    po = _plenoptic()
    began = time.perf_counter()
    x = original[None].to(ARITHMETIC) / 255
    model = Statistics(po, x)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # that it has converged; and progress, in many lines
        metamer = po.Metamer(x, model, loss_function=model.loss)
        metamer.setup(_noise_like(x, seed), torch.optim.LBFGS, dict(LBFGS))
    start = metamer.metamer.detach()
    losses, done, converged = [float(model.loss(model(start), model(x)))], 0, False
    while done < iterations and not converged:
        count = min(CHUNK, iterations - done)
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                metamer.synthesize(count, stop_criterion=0.0)
            except ValueError as error:
                raise DivergenceError(f"Portilla and Simoncelli's synthesis: {error}") from error
        done += count
        losses.append(float(metamer.losses[-1]))
        say(f"Portilla-Simoncelli: {done} iterations, loss {losses[0]:.3g} -> {losses[-1]:.3g}")
        converged = losses[-1] > (1 - SETTLED) * losses[-2]
    made = (255 * metamer.metamer.detach()[0]).round().clamp(0, 255).to(torch.uint8)
    return Synthesis(made, tuple(losses), done, converged, time.perf_counter() - began)


class Statistics(nn.Module):
    """The statistics of a picture's principal colour components, and across them.

    Args:
        po: the package plenoptic.
        x: the original, (1, C, H, W) in [0, 1]; it decides on the components and their range.
    """

    axes: Tensor
    offset: Tensor

    def __init__(self, po: ModuleType, x: Tensor) -> None:
        super().__init__()
        shape = (x.shape[2], x.shape[3])
        self.grey = po.models.PortillaSimoncelli(shape, SCALES, ORIENTATIONS).to(x.dtype)
        self.pyramid = po.process.SteerablePyramidFreq(
            shape, SCALES, ORIENTATIONS - 1, is_complex=True
        ).to(x.dtype)
        axes, offset = components(x)
        self.register_buffer("axes", axes)
        self.register_buffer("offset", offset)
        self.own = po.loss.portilla_simoncelli_loss_factory(self.grey, self.turned(x)[:, :1])
        self.pairs = list(itertools.combinations(range(len(axes)), 2))
        self.across = 2 * len(self.pairs) * SCALES * ORIENTATIONS
        self.eval()

    def turned(self, x: Tensor) -> Tensor:
        """The components (B, K, H, W), those of the original in [0, 1]."""
        return torch.einsum("kc,bchw->bkhw", self.axes, x) - self.offset[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, statistics) of pictures (B, C, H, W): of each component, then across them."""
        y = self.turned(x)
        own = self.grey(y).flatten(1)
        if not self.pairs:
            return own[:, None]
        bands = self.pyramid(y)
        across = [
            correlation(part(bands[scale])[:, i], part(bands[scale])[:, j])
            for scale in range(SCALES)
            for part in (torch.real, torch.abs)
            for i, j in self.pairs
        ]
        return torch.cat([own, *across], 1)[:, None]

    def loss(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Distance of two sets of statistics, weighed as plenoptic weighs them."""
        count = made.shape[2] - self.across
        own = self.own(*(v[..., :count].unflatten(2, (len(self.axes), -1))[:, 0]
                         for v in (made, wanted)))  # fmt: skip
        across = (made - wanted)[..., count:].square().sum()
        total: Tensor = (own.square() + across).clamp_min(1e-24).sqrt()
        return total


def components(x: Tensor) -> tuple[Tensor, Tensor]:
    """Axes (K, C) and offset (K,) that bring the principal components of (1, C, H, W) to [0, 1].

    Colours of a grey picture in three channels have one component, not three.
    """
    colours = x[0].flatten(1)
    centred = colours - colours.mean(1, keepdim=True)
    variances, vectors = torch.linalg.eigh(centred @ centred.T / colours.shape[1])
    kept = variances.flip(0).clamp_min(0).sqrt() > SMALLEST
    kept[0] = True
    axes = vectors.T.flip(0)[kept]
    values = axes @ colours
    low, high = values.amin(1), values.amax(1)
    span = (high - low).clamp_min(SMALLEST)
    return axes / span[:, None], low / span


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Over the places of bands (B, orientations, H, W); (B, orientations)."""
    a, b = (v - v.mean((2, 3), keepdim=True) for v in (a, b))
    product = (a * b).mean((2, 3))
    spread = a.square().mean((2, 3)) * b.square().mean((2, 3))
    return product / (spread + 1e-20).sqrt()


def _noise_like(x: Tensor, seed: int) -> Tensor:
    """Gaussian noise with the mean and covariance of the original's colours, within [0, 1]."""
    stream = torch.Generator().manual_seed(seed)
    colours = x[0].flatten(1)
    centred = colours - colours.mean(1, keepdim=True)
    variances, vectors = torch.linalg.eigh(centred @ centred.T / colours.shape[1])
    white = torch.randn(colours.shape, generator=stream, dtype=x.dtype)
    noise = vectors @ (variances.clamp_min(0).sqrt()[:, None] * white)
    made: Tensor = (noise + colours.mean(1, keepdim=True)).view_as(x).clamp(0, 1)
    return made


def _plenoptic() -> ModuleType:
    try:
        import plenoptic
    except ImportError as error:
        raise CoopNetsError(
            'Portilla and Simoncelli\'s model needs plenoptic; pip install "coopnets[textures]", '
            "or leave it out by --ps-iterations 0"
        ) from error
    return plenoptic  # type: ignore[no-any-return]


def distance_fell(losses: tuple[float, ...]) -> float:
    """How many times smaller the distance of the statistics is at the end than at the start."""
    return losses[0] / losses[-1] if losses[-1] else math.inf
