"""Completion by the trained networks: the generator, the descriptor, or one after the other.

generator   z is inferred from the visible pixels alone, and g(z) put where they are not
descriptor  Langevin revision of the hidden pixels; visible ones are held fixed at every step
both        the descriptor revises what the generator put there

The image is modelled as x = g(z) + residual, and what is visible of the residual does not end
where the hole begins. ``blend`` continues it into the hole by springs (the smoothest surface that
meets it at the rim), so that no seam is left.

A picture of another size than the training's, which a texture model can complete, is taken as the
middle of a larger one, whose frame is hidden: so neither network's border shows.
"""

import copy
from math import prod
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from coopnets.canvas import COPIES, FLOAT_BYTES, Canvas, bytes_each, free_bytes, plan
from coopnets.chance import stream
from coopnets.complete.classic.nans import springs
from coopnets.complete.classic.planes import fill
from coopnets.complete.latent import Posterior, Search, closest, infer_visible
from coopnets.config import Config
from coopnets.errors import CoopNetsError, DataError
from coopnets.langevin import Normal
from coopnets.models import AnyDescriptor, AnyGenerator, Generator, evaluating, frozen
from coopnets.sample import each_its_own, propose, refine, uniform_noise, usual_noise, usual_steps

By = Literal["generator", "descriptor", "both"]

AT_ONCE = 100
"""Proposals decoded at a time."""
FEW = 16
"""Proposals at most, of clips and of pictures of another size than the training's, one at a time:
they are many numbers each, and few are alike."""
ALONE = 10
"""Times as many steps of revision as in sampling, where no generator has gone before."""


class Completer:
    """Completes batches of images, by one method with one set of settings.

    Args:
        config: settings of the training.
        g: generator, or None.
        f: descriptor, or None.
        by: ``generator``, ``descriptor`` or ``both``; None takes all that there is.
        search: how z is looked for.
        blend: continue the visible residual into the hole.
        langevin_steps: steps of revision; None takes those of sampling, ten times as many where
            the chains of a cooperative pair start without the generator.
        seed: names the random numbers together with the images' own.
        step_scale: factor on the step size that the guard found necessary in training.
        precision: arithmetic inside the networks.

    Raises:
        CoopNetsError: a network that the method needs is not there, there is no such method, or
            the steps are fewer than none.
    """

    def __init__(
        self,
        config: Config,
        g: AnyGenerator | None,
        f: AnyDescriptor | None,
        *,
        by: By | None = None,
        search: Search | None = None,
        blend: bool = True,
        langevin_steps: int | None = None,
        seed: int = 0,
        step_scale: float = 1.0,
        precision: str = "fp32",
    ) -> None:
        self.config, self.g, self.f = config, g, f
        self.by = by or ("both" if g and f else "generator" if g else "descriptor")
        self.search, self.blend = search or Search(), blend
        self.langevin_steps, self.seed = langevin_steps, seed
        self.step_scale, self.precision = step_scale, precision
        self.latent_shape = () if g is None else g.latent_shape
        self.few = config.frames > 0
        self._proposals: dict[int, tuple[Tensor, Tensor]] = {}
        lacking = {"generator": g is None, "descriptor": f is None, "both": not (g and f)}
        if self.by not in lacking:
            raise CoopNetsError(f"method {self.by}: choose among {', '.join(lacking)}")
        if langevin_steps is not None and langevin_steps < 0:
            raise CoopNetsError(f"langevin_steps is {langevin_steps}: it must be at least 0")
        if lacking[self.by]:
            other = "descriptor" if g is None else "generator"
            raise CoopNetsError(
                f"a run of method {config.method} cannot complete by {self.by}: it has a "
                f"{other} alone; take --method {other}"
            )

    def __call__(
        self, x: Tensor, mask: Tensor, *, first: int = 0, sample: int | None = None
    ) -> Tensor:
        """Complete images.

        Args:
            x: images, (B, C, ...) in [-1, 1], of any size if the model is of textures, and of any
                floating type, computed with in fp32; hidden values are never looked at.
            mask: boolean, (B, 1, ...) or (B, C, ...), true where hidden.
            first: number of the first image, which names its random numbers.
            sample: number of the completion, to draw one of many; None makes the one that
                fits best.

        Returns:
            Like x, visible pixels bit for bit, hidden ones in [-1, 1].

        Raises:
            CoopNetsError: the model knows one size, and it is not that of x, or memory does not
                suffice.
        """
        mask = mask.expand(len(x), -1, *x.shape[2:])
        own = self.config.frames or x.shape[-2:] == (self.config.size, self.config.size)
        complete = self._completed if own else self._framed
        y = complete(x.float(), mask, first, sample)
        return torch.where(mask, y.to(x.dtype), x)

    def _completed(self, x: Tensor, mask: Tensor, first: int, sample: int | None) -> Tensor:
        y = None if self.by == "descriptor" else self.generated(x, mask, first, sample)
        if self.by != "generator":
            y = self.revised(x, mask, y, first, sample)
        assert y is not None
        return paste(x, mask, y)

    def _framed(self, x: Tensor, mask: Tensor, first: int, sample: int | None) -> Tensor:
        """As the middle of larger images whose frame is hidden too."""
        canvas = self._canvas(x)
        larger = copy.copy(self)
        larger.latent_shape, larger.few, larger._proposals = canvas.latent, True, {}
        over = (canvas.drawn[0] - canvas.height, canvas.drawn[1] - canvas.width)
        top, left = over[0] // 2, over[1] // 2
        around = (left, over[1] - left, top, over[0] - top)
        y = larger._completed(pad(x, around), pad(mask, around, value=True), first, sample)
        return canvas.cut(y)

    def _canvas(self, x: Tensor) -> Canvas:
        """What the images are the middle of."""
        c, (height, width) = self.config, x.shape[-2:]
        if self.g is None or c.generator.start != "map" or c.descriptor.top == "dense":
            raise CoopNetsError(
                f"this model completes pictures of {c.size}x{c.size} alone, and one is {height}x"
                f"{width}: cut that size out of it (a pair of --preset texture takes any)"
            )
        canvas = plan(c, cast(Generator, self.g), height, width)
        # Every start has all maps of the generator, and their gradients.
        maps = sum(n / 4 ** (i + 1) for i, n in enumerate(reversed(c.generator.channels)))
        per_pixel = FLOAT_BYTES * COPIES * 2 * self.search.starts * (maps + c.image_channels)
        needed = len(x) * (bytes_each(c, canvas) + int(per_pixel) * prod(canvas.drawn))
        if needed > (free := free_bytes(x.device)):
            raise CoopNetsError(
                f"{height}x{width} needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
                "free: complete a part of the picture, fewer at a time, or from fewer --starts"
            )
        return canvas

    def generated(self, x: Tensor, mask: Tensor, first: int, sample: int | None) -> Tensor:
        """g(z), z inferred from what is visible; blended, if that is wanted."""
        y = self.decoded(x, mask, first, sample)
        return blended(x, mask, y) if self.blend else y

    def decoded(self, x: Tensor, mask: Tensor, first: int, sample: int | None) -> Tensor:
        """g(z) as it is, z inferred from what is visible."""
        assert self.g is not None
        z, images = self.proposals(sample or 0, x.device)
        starts = z[closest(images, x, ~mask, self.search.starts)]
        sigma = self.config.sigma if self.search.sigma is None else self.search.sigma
        with evaluating(self.g), frozen(self.g):
            posterior = Posterior(self.decode, x, ~mask, sigma)
            noise = several_each(self._streams(len(x), first, sample), x.device)
            found, _ = infer_visible(
                posterior, starts, noise=noise, search=self.search, anneal=sample is None
            )
        return propose(self.g, self._shaped(found), self.precision)

    def revised(
        self, x: Tensor, mask: Tensor, y: Tensor | None, first: int, sample: int | None
    ) -> Tensor:
        """Hidden pixels after Langevin dynamics under the descriptor, from y.

        Without y the chains start where those of the training did: at noise if there was no
        generator; else at the surface of springs, as noise is far from anything the descriptor
        of a cooperative pair has seen.
        """
        assert self.f is not None
        langevin, streams = self.config.langevin, self._streams(len(x), first, sample)
        steps = self.langevin_steps
        if y is None and self.config.method == "descriptor":
            y = uniform_noise(streams, x.shape[1:], x.device)
        elif y is None:
            y = surface(x, mask)
            if steps is None:
                steps = ALONE * usual_steps(langevin)
        # Several completions differ by their noise, so they have that of training even where
        # samples have none.
        silent = usual_noise(langevin) == 0
        tau = langevin.tau or 1.0 if sample is not None and silent else None
        return refine(
            self.f, paste(x, mask, y), langevin, noise=each_its_own(streams, x.device),
            steps=steps, tau=tau, step_scale=self.step_scale, fixed=~mask,
            precision=self.precision,
        )  # fmt: skip

    def proposals(self, sample: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Draws from the prior, (M, d), and their images; the same for all images to complete."""
        if sample not in self._proposals:
            assert self.g is not None
            many = min(self.search.proposals, FEW) if self.few else self.search.proposals
            number = max(many, self.search.starts)
            chance = stream(self.seed, sample, 0, 0, 0)
            z = torch.randn(number, prod(self.latent_shape), generator=chance).to(device)
            images = [
                propose(self.g, self._shaped(part), self.precision)
                for part in torch.split(z, 1 if self.few else AT_ONCE)
            ]
            self._proposals = {sample: (z, torch.cat(images))}
        return self._proposals[sample]

    def decode(self, z: Tensor) -> Tensor:
        """g of latent numbers in rows, (R, d), whatever their shape."""
        assert self.g is not None
        x: Tensor = self.g(self._shaped(z))
        return x

    def _shaped(self, z: Tensor) -> Tensor:
        return z.view(len(z), *self.latent_shape)

    def _streams(self, count: int, first: int, sample: int | None) -> list[torch.Generator]:
        number = -1 if sample is None else sample
        return [stream(self.seed, first + i, number, 0) for i in range(count)]


def paste(x: Tensor, mask: Tensor, y: Tensor) -> Tensor:
    """x where visible, bit for bit, and y within [-1, 1] where hidden.

    Raises:
        DataError: y is not finite.
    """
    if not bool(torch.isfinite(y).all()):
        raise DataError("the completions hold NaN or infinite values: the chains ran away")
    return torch.where(mask, y.clamp(-1, 1), x)


def blended(x: Tensor, mask: Tensor, y: Tensor) -> Tensor:
    """y plus the visible residual x - y, continued into the hole by springs.

    A frame of a clip of which nothing is visible has no residual: it stays as it is.
    """
    return y + fill(torch.where(mask, 0.0, x - y), mask & ~wholly(mask), springs)


def wholly(mask: Tensor) -> Tensor:
    """Planes of which nothing is visible, (..., 1, 1)."""
    return mask.flatten(-2).all(-1)[..., None, None]


def surface(x: Tensor, mask: Tensor) -> Tensor:
    """Holes filled by springs; planes without anything visible from those that show something.

    A frame of a clip lies on the line between the nearest frames of its channel, and a channel of
    which nothing at all is visible is the mean of the others.
    """
    lost = wholly(mask.expand(x.shape))
    y = fill(x, mask & ~lost, springs)
    if not bool(lost.any()):
        return y
    for image, gone in zip(y, lost[..., 0, 0], strict=True):
        unseen = gone.flatten(1).all(1) if gone.dim() > 1 else gone
        for c in (~unseen).nonzero().flatten().tolist():
            if gone.dim() > 1:
                _bridge(image[c], gone[c])
        if bool(unseen.any()):
            image[unseen] = image[~unseen].mean(0)
    return y


def _bridge(frames: Tensor, gone: Tensor) -> None:
    """Put the frames (T, H, W) that are gone on the line between their neighbours, in place."""
    there = (~gone).nonzero().flatten().tolist()
    for t in gone.nonzero().flatten().tolist():
        before = max((i for i in there if i < t), default=there[0])
        after = min((i for i in there if i > t), default=there[-1])
        weight = (t - before) / (after - before) if after > before else 0.0
        frames[t] = torch.lerp(frames[before], frames[after], weight)


def several_each(streams: list[torch.Generator], device: torch.device) -> Normal:
    """Noise for n rows of each image in turn, drawn from that image's stream."""

    def draw(like: Tensor) -> Tensor:
        rows = (len(like) // len(streams), *like.shape[1:])
        return torch.cat([torch.randn(rows, generator=s) for s in streams]).to(device)

    return draw
