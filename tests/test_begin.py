"""Networks of clips begin with what the clips tell of themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coopnets.begin import begin
from coopnets.cooperate import Cooperation
from coopnets.data.clips import ClipData
from coopnets.presets import preset
from coopnets.processes import Processes

CONFIG = replace(preset("dynamic-texture"), size=16, precision="fp32", layout="contiguous")
CONFIG = replace(
    CONFIG,
    descriptor=replace(CONFIG.descriptor, channels=(4, 4, 4, 4, 4)),
    generator=replace(CONFIG.generator, channels=(8, 8, 4, 4, 4), latent=48, states=8),
    slope_on="ends",
)


def waves(*lengths: int, still: bool = False) -> ClipData:
    """Waves that go to the right in the lower half of a frame."""
    clips = []
    for i, length in enumerate(lengths):
        t, x = np.arange(length)[:, None], np.arange(16)
        wave = 60 * np.sin(0.8 * x - 0.3 * t + i) * (not still)
        frames = np.zeros((3, length, 16, 16)) + np.array([90, 120, 150])[:, None, None, None]
        frames[:, :, 8:] += wave[:, None]
        clips.append(frames.astype(np.uint8))
    return ClipData(
        "waves", "train", tuple(clips), ((16, 16),) * len(clips), 64, True, 25.0, (), ""
    )


def begun(images: ClipData) -> Cooperation:
    learner = Cooperation(CONFIG, Processes("cpu"))
    begin(learner, images)
    return learner


def test_proposals_begin_with_the_mean_and_the_covariance_of_the_clips() -> None:
    images = waves(150, 100)
    learner = begun(images)
    made = torch.cat([learner.g.eval()(torch.randn(8, *learner.g.latent_shape)) for _ in range(8)])
    frames = torch.from_numpy(np.concatenate(images.clips, 1)).double() / 127.5 - 1
    seen = frames.transpose(0, 1).flatten(1)
    drawn = made.detach().double().transpose(1, 2).flatten(0, 1).flatten(1)
    assert (drawn.mean(0) - seen.mean(0)).abs().max() < 0.1
    apart = torch.cov(drawn.T) - torch.cov(seen.T)
    assert apart.norm() < 0.2 * torch.cov(seen.T).norm()


def test_all_copies_of_a_network_begin_alike() -> None:
    learner = begun(waves(90))
    for name, average in learner.averages.items():
        for key, value in average.state_dict().items():
            assert torch.equal(value, learner.networks[name].state_dict()[key]), key


def test_chains_move_where_the_clips_do() -> None:
    learner = begun(waves(90))
    metric = learner.f.metric
    assert metric is not None
    assert metric.scale[:8].max() < 0.2 * metric.scale[8:].min()
    x = torch.zeros(1, 3, 64, 16, 16)
    x_tilde, _ = learner.revise(x, 0, learner.processes.draws(0, 0, 0))
    moved = (x_tilde - x).square().mean((0, 1, 2, 4)).sqrt()
    assert moved[:7].max() < 0.3 * moved[9:].min()


def test_noise_of_the_data_is_that_of_the_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    """White noise where the clips stand still would be what f tells data from revisions by."""
    learner, taken = begun(waves(90)), []
    loss_of = learner.descriptor_loss

    def loss(x: torch.Tensor, x_tilde: torch.Tensor) -> tuple[torch.Tensor, ...]:
        taken.append(x)
        return loss_of(x, x_tilde)

    monkeypatch.setattr(learner, "descriptor_loss", loss)
    x = torch.zeros(1, 3, 64, 16, 16)
    learner.iterate(x, 0)
    added = taken[0].square().mean((0, 1, 2, 4)).sqrt()
    metric = learner.f.metric
    assert metric is not None
    expected = metric.noise(torch.randn(30, 3, 8, 16, 16)).square().mean((0, 1, 2, 4)).sqrt()
    ratio = added / expected / CONFIG.data_noise
    assert (ratio - 1).abs().max() < 0.1
    assert added[:7].max() < 0.3 * added[9:].min()


def test_slope_is_what_a_step_of_the_chain_gains() -> None:
    """Where the drift is that of the metric."""
    learner = begun(waves(90))
    f, metric = learner.f.double(), learner.f.metric
    assert metric is not None
    draws, shape = learner.processes.draws(0, 0, 0), (1, 3, 64, 16, 16)
    x, x_tilde = (torch.rand(shape, dtype=torch.double) - 0.5 for _ in range(2))
    both = torch.cat([x, x_tilde]).requires_grad_()
    (gradient,) = torch.autograd.grad(f(both).sum(), both)
    with torch.no_grad():
        drift = CONFIG.langevin.delta**2 / 2 * metric.drift(gradient)
        gained = (gradient * drift).sum() / 2  # to first order, f(x + drift) - f(x)
        plain = CONFIG.langevin.delta**2 / 2 * gradient.square().sum() / 2
    slope = float(learner.slope(x, x_tilde, draws).detach())
    assert slope == pytest.approx(float(gained), rel=1e-3)
    assert abs(float(plain) / slope - 1) > 0.1


@pytest.mark.parametrize("images", [waves(70, still=True), waves(2)], ids=["still", "short"])
def test_clips_that_do_not_tell_anything_are_begun_without(images: ClipData) -> None:
    same(Cooperation(CONFIG, Processes("cpu")), begun(images))


def same(a: Cooperation, b: Cooperation) -> None:
    """All that networks have begun with."""
    for name in a.networks:
        for key, value in a.networks[name].state_dict().items():
            assert torch.equal(value, b.networks[name].state_dict()[key]), key


def test_f_sees_deviations_from_the_mean_frame() -> None:
    images = waves(150, 100)
    metric = begun(images).f.metric
    assert metric is not None
    frames = torch.from_numpy(np.concatenate(images.clips, 1)) / 127.5 - 1
    torch.testing.assert_close(metric.mean, frames.mean(1, keepdim=True))
    seen = metric.standard(frames[None])[0]
    moving = seen[:, :, 8:].std(1).mean((0, 2))
    assert (moving / moving.mean() - 1).abs().max() < 0.05


def test_mirrored_clips_count_where_examples_are_mirrored() -> None:
    images = waves(150)
    learner = Cooperation(replace(CONFIG, flip=True), Processes("cpu"))
    begin(learner, images)
    mean = learner.f.metric.mean  # type: ignore[union-attr]
    torch.testing.assert_close(mean, mean.flip(3))
    plain = begun(images).f.metric.mean  # type: ignore[union-attr]
    assert not torch.allclose(plain, plain.flip(3), atol=1e-3)


def test_of_much_material_pieces_from_everywhere_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = waves(64, 64, 64)
    ends = replace(images, clips=(images.clips[0], images.clips[2]))
    long = replace(images, clips=(np.concatenate(images.clips, 1),))
    monkeypatch.setattr("coopnets.begin.MOST", 130)
    same(begun(images), begun(ends))
    same(begun(long), begun(ends))
    first = replace(images, windows=False, clips=(images.clips[0],))
    same(begun(replace(long, windows=False)), begun(first))
