"""The linear dynamical system finds the system that made its clips, and stays stable."""

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.lds import LinearSystem, learn, moving_average, spectral_radius

A = np.array([[0.9 * np.cos(0.7), -0.9 * np.sin(0.7), 0.0],
              [0.9 * np.sin(0.7), 0.9 * np.cos(0.7), 0.0],
              [0.1, 0.0, 0.5]])  # fmt: skip
SHAPE = (3, 6, 5)


def known() -> LinearSystem:
    rng = np.random.default_rng(5)
    c = np.linalg.qr(rng.normal(size=(90, 3)))[0]
    b = np.array([[0.2, 0.0], [0.1, 0.3], [0.0, 0.4]])
    return LinearSystem(SHAPE, rng.normal(size=90) / 10, c, A, b, "least-squares", 0.9)


def moving(frames: int = 20, seed: int = 0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.rand(3, frames, 4, 5, generator=chance) * 2 - 1


def impulse(system: LinearSystem, lags: int = 8) -> np.ndarray:
    """Autocovariances C A^k P C^T of the frames: what does not depend on the states' basis."""
    powers = [np.linalg.matrix_power(system.a, k) for k in range(lags)]
    return np.stack([system.c @ p @ system.covariance() @ system.c.T for p in powers])


@pytest.mark.parametrize("estimate", ["least-squares", "yule-walker"])
def test_a_known_system_is_recovered_from_a_long_clip(estimate: str) -> None:
    truth = known()
    found = learn([truth.sample(20_000, seed=1)], states=3, estimate=estimate)  # type: ignore[arg-type]
    assert found.estimate == estimate
    modes = [np.sort_complex(np.linalg.eigvals(s.a)) for s in (truth, found)]
    np.testing.assert_allclose(modes[1], modes[0], atol=0.03)
    covariances = [impulse(s) for s in (truth, found)]
    scale = np.abs(covariances[0]).max()
    np.testing.assert_allclose(covariances[1] / scale, covariances[0] / scale, atol=0.08)
    np.testing.assert_allclose(found.mean, truth.mean, atol=0.05)
    noise = [s.c @ s.b @ s.b.T @ s.c.T for s in (truth, found)]
    np.testing.assert_allclose(noise[1], noise[0], atol=0.03 * np.abs(noise[0]).max() + 1e-3)


def test_clips_of_one_process_are_learnt_together_and_not_as_one_long_clip() -> None:
    """Jumps from one clip to the next are no motion."""
    truth = known()
    clips = [truth.sample(12, seed=s) for s in range(2000)]
    apart, joined = learn(clips, states=3), learn([torch.cat(clips, 1)], states=3)
    expected = np.abs(np.linalg.eigvals(A)).max()
    assert abs(spectral_radius(apart.a) - expected) < 0.02
    assert spectral_radius(joined.a) < expected - 0.03


def test_samples_are_stationary_from_their_first_frame_on() -> None:
    truth = known()
    made = torch.stack([truth.sample(6, seed=s) for s in range(3000)]).double()
    states = [(m.transpose(0, 1).flatten(1).numpy() - truth.mean) @ truth.c for m in made]
    paths = np.stack(states)
    covariance = truth.covariance()
    for t in (0, 5):
        np.testing.assert_allclose(np.cov(paths[:, t].T), covariance, atol=0.05)
    after = (paths[:, 1:].reshape(-1, 3).T @ paths[:, :-1].reshape(-1, 3)) / (3000 * 5)
    np.testing.assert_allclose(after, A @ covariance, atol=0.05)


def test_all_the_states_reconstruct_exactly_and_fewer_as_well_as_any_plane_can() -> None:
    clip = moving()
    full = learn([clip], states=1000)
    torch.testing.assert_close(full.show(full.states(clip)), clip, atol=1e-6, rtol=0)
    few = learn([clip], states=4)
    left = few.show(few.states(clip)) - clip
    rows = (clip - clip.mean(1, keepdim=True)).transpose(0, 1).flatten(1).double()
    beyond = torch.linalg.svdvals(rows)[4:].square().sum()
    assert float(left.square().sum()) == pytest.approx(float(beyond), rel=1e-5)


def test_without_noise_the_future_is_told_beyond_what_was_learnt() -> None:
    """Damped waves: the system goes on as they do, for longer than it has seen them."""
    t = torch.arange(80, dtype=torch.float64)
    shapes = torch.randn(3, 90, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    waves = torch.stack([0.98**t * torch.cos(0.4 * t), 0.98**t * torch.sin(0.4 * t), 0.9**t])
    clip = (waves.T @ shapes).float().view(80, *SHAPE).transpose(0, 1)
    # The mean of a decaying clip is not where it decays to; with its mirror image it is.
    found = learn([clip[:, :40], -clip[:, :40]], states=3)
    start = found.states(clip[:, :1])[0]
    torch.testing.assert_close(found.sample(80, start=start), clip, atol=2e-3, rtol=0)


def test_what_would_run_away_is_replaced_by_what_swings_as_far_as_the_clip() -> None:
    t = torch.arange(12, dtype=torch.float64)
    turning = 1.15**t * torch.stack([torch.cos(1.1 * t), torch.sin(1.1 * t)])
    shapes = torch.randn(2, 60, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    clip = (turning.T @ shapes / 10).float().view(12, 3, 4, 5).transpose(0, 1)
    found = learn([clip], states=2)
    assert found.radius > 1 and found.estimate == "yule-walker"
    assert spectral_radius(found.a) < 1
    states = found.states(clip)
    np.testing.assert_allclose(found.covariance(), states.T @ states / 12, rtol=1e-6, atol=1e-9)
    long = found.sample(5000)
    assert float(long.std()) < 2 * float(clip.std())


def test_a_clip_with_as_many_states_as_frames_does_not_run_away() -> None:
    """Least squares then makes an endless repetition, its radius 1 up to rounding."""
    found = learn([moving(12)], states=11)
    assert found.radius == pytest.approx(1, abs=1e-6) and found.estimate == "yule-walker"
    assert spectral_radius(found.a) < 1


def test_seeds_name_clips_of_any_length() -> None:
    system = learn([moving()], states=5)
    assert system.sample(70, seed=3).shape == (3, 70, 4, 5)
    assert torch.equal(system.sample(7, seed=3), learn([moving()], states=5).sample(7, seed=3))
    assert not torch.equal(system.sample(7, seed=3), system.sample(7, seed=4))
    assert torch.equal(system.sample(1, seed=3), system.sample(7, seed=3)[:, :1])


@pytest.mark.parametrize(
    ("clips", "states", "says"),
    [
        ([], 3, "no clip"),
        ([moving(), moving()[:, :, :2]], 3, "several sizes"),
        ([moving(2)], 3, "2 frames"),
        ([moving() / 0], 3, "NaN or infinite"),
        ([moving()[:, :1].expand(-1, 9, -1, -1)], 3, "do not move"),
        ([moving()], 0, "0 states"),
    ],
)
def test_what_cannot_be_learnt(clips: list[Tensor], states: int, says: str) -> None:
    with pytest.raises(CoopNetsError, match=says):
        learn(clips, states)


def test_other_frames_are_refused() -> None:
    system = learn([moving()], 3)
    with pytest.raises(CoopNetsError, match="cannot see"):
        system.states(torch.zeros(3, 2, 5, 4))
    with pytest.raises(CoopNetsError, match="nothing to show"):
        system.sample(0)


@pytest.mark.parametrize("lengths", [(40,), (17, 6, 30)])
def test_a_moving_average_covaries_as_the_clips_do(lengths: tuple[int, ...]) -> None:
    """With room for all, C(lag) of the frames comes back, times the fading of its pieces."""
    unit, reach = 2, 4
    length = unit * reach
    clips = [moving(n, seed=i) for i, n in enumerate(lengths)]
    found = moving_average(clips, 500, 60 * length, unit, reach)
    rows = [c.double().transpose(0, 1).flatten(1).numpy() for c in clips]
    total = np.concatenate(rows)
    np.testing.assert_allclose(found.mean, total.mean(0), atol=1e-9)
    w = np.sqrt(2 / reach) * np.sin(np.pi * (np.arange(length) + 0.5) / length)
    basis = np.linalg.qr(found.c)[0]  # states are fewer than frames, by as many as there are clips
    for lag in range(length - unit):
        pairs = [(x - found.mean)[lag:].T @ (x - found.mean)[: max(len(x) - lag, 0)] for x in rows]
        own = basis @ basis.T @ sum(pairs) @ basis @ basis.T / len(total)
        phases = []
        for phase in range(unit):  # a frame hears every unit-th tap, from its phase on
            heard = [t for t in range(phase, length - lag, unit)]
            states = sum(found.taps[t + lag] @ found.taps[t].T for t in heard)
            fade = sum(w[t + lag] * w[t] for t in heard)
            phases.append((found.c @ states @ found.c.T, fade))
        for covariance, fade in phases:
            np.testing.assert_allclose(covariance, fade * own, atol=1e-8)
            assert lag or fade == pytest.approx(1.0)


def test_a_moving_average_keeps_what_varies_most() -> None:
    """Few numbers leave variance out, never add any; more leave out less."""
    clip = known().sample(400, seed=3)
    variance = float(((clip - clip.mean(1, keepdim=True)) ** 2).mean() * 90)
    kept = []
    for numbers in (2, 6, 24, 200):
        found = moving_average([clip], 3, numbers, 4, 3)
        assert found.taps.shape == (12, 3, numbers)
        kept.append(float(((found.c @ found.taps) ** 2).sum()) / 4 / variance)
    assert kept == sorted(kept)
    assert kept[0] < 0.9
    assert kept[-1] == pytest.approx(1.0, abs=1e-4)


def test_a_moving_average_needs_motion() -> None:
    with pytest.raises(CoopNetsError, match="do not move"):
        moving_average([torch.ones(3, 9, 4, 4)], 3, 2, 4, 3)
