"""Completion by the networks: exact laws of linear and Gaussian ones, and what always holds."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from coopnets import CoopNets
from coopnets.complete.classic import CLASSIC
from coopnets.complete.infill import Completer, blended, paste, surface
from coopnets.complete.latent import SIGMA, Search
from coopnets.complete.masks import random_square
from coopnets.errors import CoopNetsError, DataError
from coopnets.models import Descriptor, Generator
from small import CONFIG, tiny

SIDE = 8
WEIGHTS = 0.1 * torch.randn(SIDE * SIDE, 6, generator=torch.Generator().manual_seed(3))


class Linear(nn.Module):
    """g(z) = W z as a picture."""

    latent_shape = (6,)

    def forward(self, z: Tensor) -> Tensor:
        return (z @ WEIGHTS.T).float().view(-1, 1, SIDE, SIDE)


class Quadratic(nn.Module):
    """f(x) = - x' P x / 2, as a descriptor."""

    metric = None

    def __init__(self, precision: Tensor) -> None:
        super().__init__()
        self.precision = precision

    def collapsed(self, precision: str = "fp32") -> Callable[[Tensor], Tensor]:
        def f(x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return -0.5 * (flat @ self.precision * flat).sum(1)

        return f


def masks(count: int, side: int = 3) -> Tensor:
    return torch.stack([random_square(side, SIDE, 0, i) for i in range(count)])


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def quick(method: str, **more: object) -> Completer:
    """With networks that were never trained."""
    torch.manual_seed(0)
    g = Generator(CONFIG.generator, SIDE, 1) if method != "descriptor" else None
    f = Descriptor(CONFIG.descriptor, SIDE, 1) if method != "generator" else None
    return Completer(tiny(), g, f, search=Search(steps=6, starts=2, trial=2, proposals=5), **more)


@pytest.mark.parametrize("sigma", [SIGMA, 0.3])
def test_linear_generator_reaches_the_conditional_mean(sigma: float) -> None:
    """Hidden pixels are W_h E(z | visible), in closed form, whatever the mask.

    The residual's spread is that of completion, unless the training's own is asked for.
    """
    config, x, mask = tiny(), pictures(4), masks(4)
    assert config.sigma == 0.3 != SIGMA
    search = Search(steps=150) if sigma == SIGMA else Search(steps=150, sigma=None)
    completer = Completer(config, Linear(), None, blend=False, search=search)
    y = completer(x.masked_fill(mask, float("nan")), mask)
    for image, hole, found in zip(x, mask, y, strict=True):
        seen = ~hole.flatten()
        a = WEIGHTS[seen] / sigma
        z = torch.linalg.solve(torch.eye(6) + a.T @ a, a.T @ image.flatten()[seen] / sigma)
        torch.testing.assert_close(found.flatten()[~seen], WEIGHTS[~seen] @ z, rtol=0, atol=1e-4)


def test_slopes_are_never_taken_in_bf16() -> None:
    """The curvature that steps go by is a difference of slopes, of which bf16 leaves noise."""
    seen: list[tuple[bool, bool]] = []

    class Watched(Linear):
        def forward(self, z: Tensor) -> Tensor:
            seen.append((z.requires_grad, torch.is_autocast_enabled("cpu")))
            return super().forward(z)

    completer = Completer(tiny(), Watched(), None, search=Search(steps=3), precision="bf16")
    completer(pictures(2), masks(2))
    assert set(seen) == {(True, False), (False, True)}


def test_gaussian_descriptor_reaches_the_conditional_law() -> None:
    """N(-P_hh^-1 P_hv x_v, P_hh^-1), with the step's own known excess of covariance."""
    number, delta = 1500, 0.6
    torch.manual_seed(1)
    root = torch.eye(4) + 0.5 * torch.rand(4, 4)
    precision = root @ root.T
    visible = torch.tensor([True, False, True, False])
    x = torch.tensor([0.6, float("nan"), -0.4, float("nan")])
    x = x.view(1, 1, 2, 2).repeat(number, 1, 1, 1)
    langevin = {"steps": 40, "delta": delta, "s": None, "drift_clip": None, "tau": 1.0}
    completer = Completer(
        tiny(method="descriptor", langevin=langevin),
        None,
        Quadratic(precision),  # type: ignore[arg-type]
    )
    y = completer.revised(x, ~visible.view(1, 1, 2, 2).expand(number, 1, 2, 2), None, 0, None)
    assert torch.equal(y.flatten(1)[:, visible], x.flatten(1)[:, visible])
    p = precision[~visible][:, ~visible]
    mean = -torch.linalg.solve(p, precision[~visible][:, visible] @ x[0].flatten()[visible])
    keep = torch.eye(2) - delta**2 / 2 * p
    covariance = delta**2 * torch.linalg.inv(torch.eye(2) - keep @ keep)
    hidden, scale = y.flatten(1)[:, ~visible], covariance.diagonal().max().item()
    torch.testing.assert_close(hidden.mean(0), mean, rtol=0, atol=5 * math.sqrt(scale / number))
    torch.testing.assert_close(
        hidden.T.cov(), covariance, rtol=0, atol=6 * scale * math.sqrt(2 / number)
    )


@pytest.mark.parametrize("by", ["generator", "descriptor", "both"])
@pytest.mark.parametrize("sample", [None, 2])
def test_visible_pixels_bit_for_bit_and_hidden_ones_never_looked_at(
    by: str, sample: int | None
) -> None:
    completer, x, mask = quick("both", by=by), pictures(3), masks(3)
    y = completer(x, mask, sample=sample)
    assert torch.equal(y.masked_fill(mask, 0), x.masked_fill(mask, 0))
    assert torch.equal(y, completer(x.masked_fill(mask, float("nan")), mask, sample=sample))
    assert bool((y.abs() <= 1).all()) and not torch.equal(y, x)


@pytest.mark.parametrize("by", ["generator", "descriptor", "both"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_images_of_other_floating_types(by: str, dtype: torch.dtype) -> None:
    """Computed with in fp32; what is visible stays as it was, bit for bit."""
    x, mask = pictures(3).to(dtype), masks(3)
    y = quick(by)(x, mask)
    assert y.dtype == dtype and torch.equal(y.masked_fill(mask, 0), x.masked_fill(mask, 0))
    torch.testing.assert_close(y, quick(by)(x.float(), mask).to(dtype))


@pytest.mark.parametrize("by", ["generator", "descriptor", "both"])
def test_completions_differ_from_each_other(by: str) -> None:
    completer, x, mask = quick("both", by=by), pictures(2), masks(2)
    made = [completer(x, mask, sample=k) for k in (None, 0, 1)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert bool((made[one] != made[other])[mask].any())
    assert torch.equal(made[1], completer(x, mask, sample=0))


def test_samples_differ_even_where_training_ended_without_noise() -> None:
    torch.manual_seed(0)
    f = Descriptor(CONFIG.descriptor, SIDE, 1)
    for langevin in ({"tau": 0.0}, {"tau_until": 5}):
        completer = Completer(tiny(langevin=langevin), None, f)
        x, mask = pictures(1), masks(1)
        made = [completer(x, mask, sample=k) for k in (0, 1)]
        assert not torch.equal(*made)
        assert torch.equal(completer(x, mask), completer(x, mask, first=7))  # no noise at all


def test_samples_differ_by_the_noise_of_training() -> None:
    torch.manual_seed(0)
    f = Descriptor(CONFIG.descriptor, SIDE, 1)
    x, mask = pictures(1), masks(1)
    apart = []
    for tau in (0.003, 0.3):
        config = tiny(langevin={"tau": tau, "sample_tau": 0.0, "s": None})
        made = [Completer(config, None, f)(x, mask, sample=k) for k in (0, 1)]
        apart.append(float((made[0] - made[1]).square().mean().sqrt()))
    assert 0 < apart[0] < 0.1 * apart[1]


@pytest.mark.parametrize("by", ["generator", "descriptor", "both"])
def test_an_image_does_not_depend_on_its_batch(by: str) -> None:
    completer, x, mask = quick("both", by=by), pictures(4), masks(4)
    together = completer(x, mask, first=10)
    for i in range(4):
        alone = completer(x[i : i + 1], mask[i : i + 1], first=10 + i)
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-5)


def test_both_begins_where_the_generator_ended() -> None:
    """Without steps of revision the descriptor changes nothing."""
    x, mask = pictures(3), masks(3)
    alone = quick("both", by="generator")(x, mask)
    assert torch.equal(quick("both", by="both", langevin_steps=0)(x, mask), alone)
    assert not torch.equal(quick("both", by="both", langevin_steps=2)(x, mask), alone)


def test_descriptor_of_a_pair_begins_at_springs_and_one_alone_at_noise() -> None:
    x, mask = pictures(2), masks(2)
    y = quick("both", by="descriptor", langevin_steps=0)(x, mask)
    torch.testing.assert_close(y, CLASSIC["inter-4"](x, mask))
    torch.manual_seed(0)
    alone = Completer(tiny(method="descriptor"), None, Descriptor(CONFIG.descriptor, SIDE, 1),
                      langevin_steps=0)  # fmt: skip
    made = alone(x, mask)
    assert bool((made != y)[mask].all())
    assert not torch.equal(made, alone(x, mask, first=5))


def test_blending_leaves_no_seam() -> None:
    """A constant error of the generator vanishes; one that is harmonic does as well."""
    x, mask = pictures(2), masks(2, 4)
    rows = torch.linspace(-1, 1, SIDE)[:, None].expand(SIDE, SIDE)
    off = x + 0.2
    torch.testing.assert_close(blended(x, mask, off), x)
    inside = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    inside[..., 2:6, 2:6] = True
    torch.testing.assert_close(blended(x[:1], inside, x[:1] + 0.3 * rows), x[:1])


def test_a_channel_that_is_hidden_as_a_whole_is_the_mean_of_the_others() -> None:
    x, mask = torch.cat([pictures(2, i) for i in range(3)], 1), masks(2).repeat(1, 3, 1, 1)
    mask[0, 1] = True
    y = surface(x.masked_fill(mask, float("nan")), mask)
    torch.testing.assert_close(y[0, 1], (y[0, 0] + y[0, 2]) / 2)
    for image, channel in ((0, 0), (0, 2), (1, 0), (1, 1), (1, 2)):
        plane, hole = x[image, channel][None, None], mask[image, channel][None, None]
        torch.testing.assert_close(y[image, channel], CLASSIC["inter-4"](plane, hole)[0, 0])


def test_a_channel_may_be_hidden_as_a_whole_whatever_the_method() -> None:
    torch.manual_seed(0)
    g, f = Generator(CONFIG.generator, SIDE, 3), Descriptor(CONFIG.descriptor, SIDE, 3)
    x, mask = torch.cat([pictures(2, i) for i in range(3)], 1), masks(2).repeat(1, 3, 1, 1)
    mask[0, 1] = True
    for by in ("generator", "descriptor", "both"):
        completer = Completer(tiny(image_channels=3), g, f, by=by, search=Search(steps=3))
        y = completer(x.masked_fill(mask, float("nan")), mask)
        assert torch.equal(y.masked_fill(mask, 0), x.masked_fill(mask, 0))


def test_frames_that_are_hidden_in_one_channel_alone() -> None:
    """Each channel of a clip by its own frames, and one without any by the other channels."""
    x = torch.rand(1, 3, 5, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros_like(x, dtype=torch.bool)
    mask[0, 1, 2] = mask[0, 1, 4] = True
    mask[0, 2] = True
    y = surface(x.masked_fill(mask, float("nan")), mask)
    torch.testing.assert_close(y[0, 1, 2], (x[0, 1, 1] + x[0, 1, 3]) / 2)
    torch.testing.assert_close(y[0, 1, 4], x[0, 1, 3])
    torch.testing.assert_close(y[0, 2], (y[0, 0] + y[0, 1]) / 2)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"starts": 0}, {"proposals": 0}, {"sigma": 0.0},
                                 {"sigma": -1.0}, {"sigma": math.nan}])  # fmt: skip
def test_searches_that_find_nothing_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(CoopNetsError, match=f"--{next(iter(bad))} is"):
        Search(**bad)  # type: ignore[arg-type]


def test_runaway_chains_are_told() -> None:
    x, mask = pictures(1), masks(1)
    with pytest.raises(DataError, match="ran away"):
        paste(x, mask, x * float("inf"))


def test_a_run_without_the_network_says_so() -> None:
    with pytest.raises(CoopNetsError, match="--method generator"):
        quick("generator", by="both")
    with pytest.raises(CoopNetsError, match="--method descriptor"):
        quick("descriptor", by="generator")
    assert quick("generator").by == "generator" and quick("descriptor").by == "descriptor"
    assert quick("both").by == "both"


def test_complete_of_the_model(model: CoopNets) -> None:
    """Shapes, batches, and one mask for all images."""
    x, search = pictures(5), Search(steps=4, starts=2, trial=2, proposals=4)
    one = random_square(3, SIDE, 0, 0)
    y = model.complete(x, one, search=search, batch_size=2)
    assert y.shape == x.shape
    torch.testing.assert_close(y, model.complete(x, one, search=search), rtol=0, atol=1e-5)
    several = model.complete(x, one, samples=3, search=search)
    assert several.shape == (5, 3, *x.shape[1:])
    assert torch.equal(several[:, 1].masked_fill(one, 0), x.masked_fill(one, 0))
    later = model.complete(x[3:], one, samples=1, search=search, first=3)
    torch.testing.assert_close(later[:, 0], several[3:, 0], rtol=0, atol=1e-5)


def test_pictures_that_the_generator_can_make_are_found_again(model: CoopNets) -> None:
    """z is told by the visible part: what is hidden comes back."""
    x, mask = model.generate(8, seed=9), masks(8, 4)
    search = Search(steps=150, sigma=0.003)
    y = model.complete(x, mask, method="generator", blend=False, search=search)
    off, grey = (y - x).abs()[mask].mean(), (x - x.mean()).abs()[mask].mean()
    assert float(off) < 0.1 * float(grey)


@pytest.mark.parametrize(
    ("x", "mask", "says"),
    [
        (pictures(2)[:, :, :6], masks(1), "model takes"),
        (pictures(2).expand(2, 3, 8, 8), masks(1), "model takes"),
        (pictures(2), masks(1)[..., :6], "does not fit"),
        (pictures(2), torch.zeros(1, 1, 8, 8, dtype=torch.bool), "hides nothing"),
        (pictures(2), torch.ones(1, 1, 8, 8, dtype=torch.bool), "hides everything"),
        (pictures(2), masks(1).float(), "boolean"),
        (3 * pictures(2), masks(1), "within"),
        (pictures(2) * float("nan"), masks(1), "within"),
        ((127 * pictures(2)).to(torch.uint8), masks(1), "to_unit"),
    ],
    ids=["size", "channels", "mask-size", "visible", "hidden", "kind", "range", "nan", "bytes"],
)
def test_bad_input_is_one_clear_line(model: CoopNets, x: Tensor, mask: Tensor, says: str) -> None:
    with pytest.raises(CoopNetsError, match=says) as told:
        model.complete(x, mask)
    assert "\n" not in str(told.value)
