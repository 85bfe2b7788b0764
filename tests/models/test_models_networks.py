"""Descriptor and generator: gradients, sizes, published parameter counts, statistics."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from coopnets.config import DescriptorConfig, GeneratorConfig
from coopnets.models import Descriptor, Generator
from coopnets.models.layers import Conv2d
from coopnets.presets import preset
from small import CONFIG, snapshot

SMOOTH = DescriptorConfig(
    channels=(3, 4), kernels=(4, 3), strides=(2, 2), outputs=3, activation="silu", init_std=0.3
)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks give fp32 results; here they may stay in fp64, to be compared with differences."""
    monkeypatch.setattr(Tensor, "float", lambda x: x)


def parameters_as_inputs(net: nn.Module, x: Tensor) -> bool:
    """Whether autograd agrees with finite differences for x and for every trained parameter."""
    names = [k for k, p in net.named_parameters() if p.requires_grad]
    values = [p.detach().clone().requires_grad_() for p in net.parameters() if p.requires_grad]

    def at(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, weights, strict=True)), x)

    return torch.autograd.gradcheck(at, (x.requires_grad_(), *values), fast_mode=True)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", ["leaky_relu", "silu"])
def test_descriptor_gradients_against_differences(kind: str) -> None:
    torch.manual_seed(0)
    f = Descriptor(replace(SMOOTH, activation=kind), 7, 2).double()
    assert parameters_as_inputs(f, torch.randn(3, 2, 7, 7, dtype=torch.float64))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("training", [True, False])
def test_generator_gradients_against_differences(training: bool) -> None:
    torch.manual_seed(0)
    config = GeneratorConfig(latent=3, channels=(4, 3), kernels=(4, 4), init_std=0.3)
    g = Generator(config, 7, 2).double().train(training)
    for name, buffer in list(g.named_buffers()):  # so that repeated calls are the same function
        module, _, leaf = name.rpartition(".")
        setattr(g.get_submodule(module), leaf, buffer.clone())
    assert parameters_as_inputs(g, torch.randn(4, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "descriptor", "generator"),
    [
        ("tf-pami-scene", 6_927_588, 5_126_723),
        ("tf-aaai-scene", 6_927_588, 5_126_723),
        ("tf-pami-mnist", 1_066_532, 3_444_481),
        ("pt-cifar", 2_012_388, 1_439_747),
        ("matlab-texture", 737_600, 4_321_283),
    ],
)
def test_published_parameter_counts(name: str, descriptor: int, generator: int) -> None:
    """6.93, 1.07 and 0.74 M for the descriptors, 3.44 M for the MNIST generator, as published."""
    c = preset(name)
    nets = (
        Descriptor(c.descriptor, c.size, c.image_channels),
        Generator(c.generator, c.size, c.image_channels),
    )
    counts = [sum(p.numel() for p in net.parameters() if p.requires_grad) for net in nets]
    assert counts == [descriptor, generator]


def test_f_is_the_plain_sum_of_its_outputs() -> None:
    torch.manual_seed(0)
    f, x = Descriptor(SMOOTH, 8, 1), torch.randn(4, 1, 8, 8)
    outputs = f.top(f.features(x).flatten(1))
    assert outputs.shape == (4, 3)
    torch.testing.assert_close(f(x), outputs[:, 0] + outputs[:, 1] + outputs[:, 2])


def test_k_outputs_learn_k_times_as_fast() -> None:
    """Under Adam the first step of the top layer moves f by K times as much."""
    moved, x, features = {}, torch.randn(4, 1, 8, 8), Descriptor(SMOOTH, 8, 1).features
    for k in (1, 10):
        f = Descriptor(replace(SMOOTH, outputs=k), 8, 1)
        f.features = features
        nn.init.zeros_(f.top.weight)
        optimizer = torch.optim.Adam(f.top.parameters(), lr=1e-3)
        f(x).mean().backward()
        optimizer.step()
        moved[k] = f(x).mean().item()
    assert moved[10] == pytest.approx(10 * moved[1], rel=1e-4)


def test_images_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    f, x = Descriptor(SMOOTH, 8, 1), torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(f(x)[2:3], f(x[2:3]))


@pytest.mark.parametrize("size", [2, 7, 8, 28, 30])
def test_any_size(size: int) -> None:
    config = replace(CONFIG.generator, channels=(4, 4, 4), kernels=(4, 3, 5))
    with torch.no_grad():
        x = Generator(config, size, 3)(torch.randn(2, 6))
    assert x.shape == (2, 3, size, size)
    descriptor = replace(SMOOTH, channels=(4, 4, 4), kernels=(5, 4, 3), strides=(2, 2, 1))
    assert Descriptor(descriptor, size, 3)(x).shape == (2,)


def test_maps_are_those_of_the_paper() -> None:
    """28x28 digits grow 4, 7, 14, 28; 64x64 scenes 4, 8, 16, 32, 64."""
    for name, sides in (("tf-pami-mnist", [4, 7, 14, 28]), ("tf-pami-scene", [4, 8, 16, 32, 64])):
        c, seen = preset(name), []
        g = Generator(c.generator, c.size, c.image_channels)
        for layer in g.layers:
            if isinstance(layer, nn.ConvTranspose2d):
                layer.register_forward_hook(lambda *a, seen=seen: seen.append(a[2].shape[-1]))
        g(torch.zeros(2, c.generator.latent))
        assert seen == sides


def test_generator_is_a_dense_layer_first() -> None:
    """The first map is linear in z: every pixel has weights of its own."""
    torch.manual_seed(0)
    g, z = Generator(CONFIG.generator, 8, 1), torch.randn(3, 6)
    dense = g.layers[0]
    expected = torch.einsum("bl,lchw->bchw", z, dense.weight)
    torch.testing.assert_close(dense(z[:, :, None, None]), expected)


def test_drawn_samples_do_not_depend_on_their_neighbours() -> None:
    torch.manual_seed(0)
    g = Generator(replace(CONFIG.generator, init_std=0.2), 8, 1)
    for _ in range(3):
        g(torch.randn(16, 6))
    z = torch.randn(5, 6)
    statistics = snapshot(dict(g.named_buffers()))
    g.eval()
    torch.testing.assert_close(g(z)[1:2], g(z[1:2]), rtol=0, atol=1e-6)
    assert all(torch.equal(v, statistics[k]) for k, v in g.named_buffers())
    g.train()
    assert not torch.allclose(g(z)[1:2], g(z[1:3])[:1], atol=1e-4)


def test_images_lie_within_the_range() -> None:
    g = Generator(replace(CONFIG.generator, init_std=3.0), 8, 1)
    x = g(torch.randn(50, 6))
    assert 0.9 < x.abs().max().item() <= 1


def test_without_norm_there_is_none() -> None:
    g = Generator(replace(CONFIG.generator, norm="none"), 8, 1)
    assert not list(g.buffers())


def test_spectral_norm_bounds_every_layer() -> None:
    torch.manual_seed(0)
    f = Descriptor(replace(SMOOTH, spectral_norm=True), 8, 1)
    for _ in range(30):
        f(torch.randn(2, 1, 8, 8))
    for layer in [*f.features, f.top]:
        if isinstance(layer, Conv2d | nn.Linear):
            largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            assert float(largest) == pytest.approx(1, rel=0.02)


def test_start_is_normal_or_pytorchs_own() -> None:
    torch.manual_seed(0)
    config = preset("tf-pami-mnist").descriptor
    f = Descriptor(config, 28, 1)
    assert float(f.top.weight.std()) == pytest.approx(0.01, rel=0.02)
    assert not f.top.bias.any()
    own = Descriptor(replace(config, init_std=None), 28, 1)
    assert own.top.bias.any()
    g = Generator(preset("tf-pami-mnist").generator, 28, 1)
    assert float(g.layers[0].weight.std()) == pytest.approx(0.005, rel=0.02)


@pytest.mark.parametrize("part", ["channels", "kernels", "strides", "padding"])
def test_lists_of_other_lengths_are_refused(part: str) -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Descriptor(replace(SMOOTH, **{part: (1, 1, 1)}), 8, 1)


def test_generator_wants_a_kernel_for_each_map() -> None:
    with pytest.raises(ValueError, match="as many kernels as channels"):
        Generator(replace(CONFIG.generator, kernels=(4,)), 8, 1)
