"""Networks of clips: one function however it is computed, and alike at every time."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from coopnets.config import DescriptorConfig, GeneratorConfig
from coopnets.models import (
    ClipDescriptor,
    ClipGenerator,
    looped,
    new_descriptor,
    new_generator,
)
from coopnets.models.clips import WIDTHS, longest
from coopnets.models.linear import Strength
from coopnets.presets import preset

DESCRIPTORS = {
    "FC_S": (6, 5), "FRAME_2": (6,), "FRAME_3": (6, 5), "ST": (6, 5, 4), "DEEP": (4, 5, 6, 7, 8),
}  # fmt: skip
GENERATORS = {
    "FC_S_64": (8, 6), "FC_S_128": (8, 6, 5), "ST": (8, 7, 6, 5), "DEEP": (9, 8, 7, 6, 5),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def descriptor(kind: str, frames: int = 32, size: int = 16) -> ClipDescriptor:
    config = DescriptorConfig(
        clips=kind,
        channels=DESCRIPTORS[kind],
        outputs=3,
        init_std=0.1,
        activation="relu",  # type: ignore[arg-type]
    )
    return ClipDescriptor(config, frames, size, 3)


def generator(kind: str, border: str = "cut", frames: int = 64, size: int = 16) -> ClipGenerator:
    config = GeneratorConfig(
        clips=kind, channels=GENERATORS[kind], latent=5, border=border, init_std=0.1,  # type: ignore[arg-type]
        activation="relu",
    )  # fmt: skip
    net = ClipGenerator(config, frames, size, 3).eval()
    for name, moment in net.named_buffers():
        moment.uniform_(0.5, 1.5) if name.endswith("var") else moment.normal_(0, 0.1)
    return net


def drawn(net: ClipGenerator, frames: int, size: int = 16) -> torch.Tensor:
    return torch.randn(2, *net.shape(frames, size, size))


@pytest.mark.parametrize("kind", DESCRIPTORS)
def test_the_collapsed_descriptor_is_the_same_function(kind: str) -> None:
    f = descriptor(kind)
    x = torch.rand(3, 3, 32, 16, 16) * 2 - 1
    collapsed = f.collapsed()
    assert f(x).std() > 0
    assert torch.allclose(collapsed(x), f(x), rtol=1e-4, atol=1e-3)
    slopes = []
    for function in (f, collapsed):
        v = x.clone().requires_grad_()
        slopes.append(torch.autograd.grad(function(v).sum(), v)[0])
    assert torch.allclose(*slopes, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", DESCRIPTORS)
def test_spectral_norm_bounds_every_layer(kind: str) -> None:
    settings = DescriptorConfig(
        clips=kind,
        channels=DESCRIPTORS[kind],
        init_std=0.1,
        spectral_norm=True,  # type: ignore[arg-type]
    )
    f, x = ClipDescriptor(settings, 32, 16, 3), torch.rand(2, 3, 32, 16, 16)
    for _ in range(30):  # each pass goes on with the power iteration
        f(x)
    norms = [
        float(torch.linalg.matrix_norm(part.weight.detach().flatten(1), 2))
        for part in f.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)
    ]  # fmt: skip
    assert len(norms) == len(DESCRIPTORS[kind]) + 1
    assert norms == pytest.approx([1.0] * len(norms), rel=0.05)
    torch.testing.assert_close(f.eval().collapsed()(x), f(x), rtol=1e-4, atol=1e-4)


def test_the_authors_clips_have_the_authors_shapes() -> None:
    for kind, size, channels in (("FC_S_64", 64, (8, 6)), ("FC_S_128", 128, (8, 6, 5))):
        g = ClipGenerator(GeneratorConfig(clips=kind, channels=channels, latent=5), 64, size, 3)  # type: ignore[arg-type]
        assert g.latent_shape == (5, 10, 1, 1)
        assert g.eval()(torch.randn(1, 5, 10, 1, 1)).shape == (1, 3, 64, size, size)
    st = GeneratorConfig(clips="ST", channels=(8, 7, 6, 5), latent=5)
    assert ClipGenerator(st, 64, 64, 3).latent_shape == (5, 4, 4, 4)
    f = descriptor("FC_S", 64, 64)
    with torch.no_grad():
        assert f.layers(torch.zeros(1, 64, 64, 64, 3)).shape == (1, 8, 1, 1, 3)


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("border", ["zero", "cut"])
def test_more_latent_numbers_make_longer_clips(kind: str, border: str) -> None:
    g = generator(kind, border)
    for frames in (64, 64 + g.unit, 128):
        assert g(drawn(g, frames)).shape == (2, 3, frames, 16, 16)


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_frame_is_made_alike(kind: str) -> None:
    """A clip is what a longer one shows at that time."""
    g = generator(kind)
    z = drawn(g, 128)
    long, count = g(z), g.shape(64, 16, 16)[1]
    part = g(z[:, :, 2 : 2 + count])
    assert part.std() > 1e-3
    assert torch.allclose(long[:, :, 2 * g.unit : 2 * g.unit + 64], part, atol=1e-6)


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("border", ["zero", "cut"])
def test_a_loop_goes_on_as_it_began(kind: str, border: str) -> None:
    """Latent numbers that begin elsewhere in the circle give the same clip from there on."""
    g = generator(kind, border)
    z = torch.randn(2, 5, 64 // g.unit, *g.latent_shape[2:])
    clip, turned = g.loop(z), g.loop(z.roll(-1, 2))
    assert clip.shape[2] == 64
    assert torch.allclose(clip.roll(-g.unit, 2), turned, atol=1e-6)
    assert not torch.allclose(clip, turned, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "size"), [("FC_S", 16), ("ST", 16), ("DEEP", 16), ("DEEP", 8), ("ST", 4)]
)
def test_a_looped_descriptor_does_not_know_where_a_clip_begins(kind: str, size: int) -> None:
    """Also where the last layers see frames of a single pixel."""
    f = descriptor(kind, size=size)
    x = torch.rand(2, 3, 32, size, size) * 2 - 1
    with looped(f):
        assert torch.allclose(f(x), f(x.roll(f.unit, 2)), rtol=1e-4, atol=1e-4)
        assert torch.allclose(f.collapsed()(x), f(x), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(f(x), f(x.roll(f.unit, 2)), rtol=1e-4, atol=1e-4)


def test_layers_beside_the_linear_part_move_each_pixel_at_its_own_strength() -> None:
    g = generator("DEEP")
    z = drawn(g, 64)
    strength = next(layer for layer in g.layers if isinstance(layer, Strength))
    assert g.linear is not None
    with torch.no_grad():
        g.linear.mean.zero_()
        g.linear.basis.zero_()
        before = g(z)
        strength.motion.normal_(0, 0.05)
        after = g(z)
    factor = strength.motion.exp().permute(2, 0, 1)[None, :, None]
    assert before.std() > 1e-4 and before.abs().max() < 0.8
    assert torch.allclose(after, before * factor, atol=1e-2 * float(before.std()))
    assert not torch.allclose(after, before, atol=1e-2 * float(before.std()))


def test_layers_beside_the_linear_part_add_nothing_on_average() -> None:
    """Neither a pattern that stays, nor one that comes again with every latent position."""
    g = generator("DEEP")
    assert g.linear is not None
    z, mean = drawn(g, 64), g.linear.mean
    mean.mul_(0.1)
    g.linear.basis.zero_()
    with torch.no_grad():
        moved = g(z) - mean.permute(2, 0, 1)[:, None]
        back = g(-z) - mean.permute(2, 0, 1)[:, None]
    assert moved.std() > 1e-4
    assert torch.allclose(moved, -back, atol=1e-6)


def test_st_grows_in_space() -> None:
    g, f = generator("ST"), descriptor("ST")
    x = g(torch.randn(1, *g.shape(64, 32, 48)))
    assert x.shape == (1, 3, 64, 32, 48)
    assert f(x).shape == (1,)


@pytest.mark.parametrize("kind", ["FC_S", "ST", "DEEP"])
def test_reach_is_how_far_an_output_looks(kind: str) -> None:
    f = descriptor(kind, 64)
    x = torch.rand(1, 3, 64, 16, 16, requires_grad=True)
    outputs = f.layers(x.permute(0, 2, 3, 4, 1))
    (slope,) = torch.autograd.grad(outputs[:, outputs.shape[1] // 2].sum(), x)
    seen = slope.abs().sum((0, 1, 3, 4)).nonzero()
    assert 2 * f.reach - 2 * f.unit <= seen.max() - seen.min() <= 2 * f.reach


def test_settings_that_make_no_network_are_refused() -> None:
    with pytest.raises(ValueError, match="2 hidden layers"):
        ClipDescriptor(DescriptorConfig(clips="FC_S", channels=(4,)), 32, 16, 3)
    config = GeneratorConfig(clips="FC_S_64", channels=(4, 4))
    with pytest.raises(ValueError, match="multiples of 4, from 28 on"):
        ClipGenerator(config, 24, 16, 3)
    with pytest.raises(ValueError, match=r"multiples of 4, .* --frames 60 would do"):
        ClipGenerator(config, 63, 16, 3)
    with pytest.raises(ValueError, match=r"no multiple of 16: --size 16 or 32 would do"):
        ClipGenerator(replace(config, clips="ST", channels=(4, 4, 4, 4)), 64, 24, 3)
    with pytest.raises(ValueError, match=r"--size 4 would do"):
        ClipGenerator(replace(config, clips="FC_S_128", channels=(4, 4, 4)), 64, 3, 3)


@pytest.mark.parametrize(
    ("which", "kind"), [(which, kind) for which, kinds in WIDTHS.items() for kind in kinds]
)
def test_a_type_alone_is_refused_with_widths_that_make_it(which: str, kind: str) -> None:
    """And the documentation has the same."""
    c = replace(preset("dynamic-texture"), frames=32, size=16)
    settings, make = getattr(c, which), {"descriptor": new_descriptor, "generator": new_generator}
    alone = replace(c, **{which: replace(settings, clips=kind, channels=(7,) * 9)})
    with pytest.raises(ValueError, match=f"give for instance --{which}.channels") as refused:
        make[which](alone)
    widths = re.search(rf"--{which}.channels ([\d ]+)$", str(refused.value))
    assert widths is not None
    channels = tuple(map(int, widths[1].split()))
    make[which](replace(c, **{which: replace(settings, clips=kind, channels=channels)}))
    page = (Path(__file__).parents[2] / "docs" / "video.md").read_text()
    assert any(
        row.startswith(f"| `{kind}`") and row.endswith(f"| `{widths[1]}` |")
        for row in page.splitlines()
    )


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("border", ["zero", "cut"])
def test_the_longest_clip_can_be_made(kind: str, border: str) -> None:
    c = preset("dynamic-texture")
    settings = replace(c.generator, clips=kind, channels=GENERATORS[kind], border=border)
    c = replace(c, generator=settings)
    for there in range(2, 70):
        frames = longest(c, there)
        made = [n for n in range(2, there + 1) if accepted(settings, n)]
        assert frames == max(made, default=0)
    assert longest(replace(c, method="descriptor"), 63) == 63


def accepted(settings: GeneratorConfig, frames: int) -> bool:
    try:
        with torch.device("meta"):
            ClipGenerator(replace(settings, init_std=None), frames, 16, 3)
    except ValueError:
        return False
    return True
