"""Sample i depends on the seed and on i alone."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from coopnets.model import CoopNets
from coopnets.sample import evaluating, refine, samples
from small import CONFIG


@pytest.fixture(scope="module")
def whole(model: CoopNets) -> Tensor:
    return model.sample(10, seed=3)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_batches_do_not_matter(model: CoopNets, whole: Tensor, batch_size: int) -> None:
    found = model.sample(10, seed=3, batch_size=batch_size)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
    assert not torch.allclose(whole[0], whole[1], atol=1e-3)


def test_first_names_the_number(model: CoopNets, whole: Tensor) -> None:
    found = model.sample(3, seed=3, first=4)
    torch.testing.assert_close(found, whole[4:7], rtol=0, atol=1e-5)


def test_global_randomness_does_not_matter(model: CoopNets, whole: Tensor) -> None:
    torch.manual_seed(12345)
    assert torch.equal(model.sample(10, seed=3), whole)


def test_another_seed_gives_other_samples(model: CoopNets, whole: Tensor) -> None:
    assert not torch.allclose(model.sample(10, seed=4), whole, atol=1e-3)


def test_descriptor_revises_what_the_generator_proposes(model: CoopNets) -> None:
    (proposed, revised) = next(model.stream(5))
    torch.testing.assert_close(model.generate(5), proposed, rtol=0, atol=1e-6)
    assert float(proposed.abs().max()) <= 1
    assert not torch.equal(proposed, revised)
    torch.testing.assert_close(model.sample(5, langevin_steps=0), proposed, rtol=0, atol=1e-6)


def test_number_of_steps(model: CoopNets) -> None:
    """None means the sampling steps, or else those of training."""
    four = model.sample(3, langevin_steps=4)
    assert torch.equal(model.sample(3), four)
    assert not torch.allclose(model.sample(3, langevin_steps=5), four)
    config, x = CONFIG.langevin, torch.zeros(2, 1, 8, 8)

    def displaced(steps: int | None, sample_steps: int | None) -> Tensor:
        return refine(
            model.descriptor, x, replace(config, sample_steps=sample_steps), steps=steps,
            noise=torch.Generator().manual_seed(0),
        )  # fmt: skip

    assert torch.equal(displaced(None, 2), displaced(2, None))
    assert torch.equal(displaced(None, 0), x)


def test_noise_when_sampling(model: CoopNets) -> None:
    """That of training, which may have ended, unless there is one for samples."""
    x = torch.zeros(2, 1, 8, 8)

    def displaced(tau: float | None = None, **settings: float) -> Tensor:
        return refine(
            model.descriptor, x, replace(CONFIG.langevin, **settings), tau=tau,
            noise=torch.Generator().manual_seed(0),
        )  # fmt: skip

    silent = displaced(0.0)
    assert not torch.allclose(displaced(), silent, atol=1e-4)
    assert torch.equal(displaced(sample_tau=0.0), silent)
    assert torch.equal(displaced(tau_until=5), silent)
    assert torch.equal(displaced(tau_until=5, sample_tau=1.0), displaced(1.0))
    assert torch.equal(displaced(0.5, sample_tau=0.0), displaced(0.5))


def test_iterator_is_lazy(model: CoopNets) -> None:
    stream = model.stream(10**9, batch_size=2)
    taken = list(itertools.islice(stream, 3))
    assert [len(x) for x, _ in taken] == [2, 2, 2]


def test_streams_give_exactly_n(model: CoopNets) -> None:
    assert [len(x) for x, _ in model.stream(7, batch_size=3)] == [3, 3, 1]


def test_step_scale_of_the_guard_applies_to_samples(model: CoopNets) -> None:
    def one(delta: float, scale: float) -> Tensor:
        made = samples(
            model.descriptor, model.generator, replace(CONFIG.langevin, delta=delta), 3,
            step_scale=scale,
        )  # fmt: skip
        return next(iter(made))[1]

    torch.testing.assert_close(one(0.004, 0.5), one(0.002, 1.0), rtol=0, atol=1e-6)


def test_networks_get_their_mode_back() -> None:
    net, other = nn.Dropout(), nn.Dropout().eval()
    with pytest.raises(RuntimeError), evaluating(net, other):
        assert not net.training
        raise RuntimeError
    assert net.training and not other.training
