"""Measures of clips: still ones, shuffled ones, flicker, noise and copies are told apart."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.data.pixels import to_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate import Extractor
from coopnets.evaluate.motion import (
    ROUNDING,
    Original,
    copied,
    energy,
    frechet,
    kernel,
    look_at,
    measure,
    power_spectrum,
    reconstruction,
    seam,
    shown_differences,
    spectral_distance,
)
from coopnets.evaluate.scores import frechet_distance, kernel_distance, moments

SIDE = 16


def waves(seed: int, frames: int = 64, pace: float = 1.0) -> Tensor:
    """Blobs that drift and breathe around a fixed ground, uint8 (3, frames, SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    axis = np.arange(SIDE) / SIDE
    t = pace * np.arange(frames)[:, None, None]
    rows, columns = axis[:, None], axis[None]
    clip = 0.4 * np.sin(2 * np.pi * (rows + columns))[None] * np.ones((frames, 1, 1))
    for k in (1, 2, 3):
        phase, other = rng.uniform(0, 2 * np.pi, 2)
        clip = clip + 0.25 * np.sin(2 * np.pi * (k * columns + rows) - (0.2 + 0.1 * k) * t + phase)
        clip = clip + 0.1 * np.cos(0.23 * k * t + other + 2 * np.pi * k * rows)
    colours = np.array([1.0, 0.8, 0.6])[:, None, None, None]
    grain = rng.normal(0, 0.02, (3, frames, SIDE, SIDE))
    return to_pixels(torch.from_numpy(np.clip(colours * clip + grain, -1, 1)))


def noise(frames: int, seed: int = 0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, frames, SIDE, SIDE), dtype=torch.uint8, generator=chance)


@pytest.fixture
def original(linear: Callable[..., Extractor]) -> Original:
    torch.manual_seed(0)
    return look_at([waves(0, 200)], linear(torch.randn(3 * 12 * 12, 10)), count=400)


def test_another_example_of_the_process_is_nearer_than_any_fault(original: Original) -> None:
    good, clip = measure(waves(1), original), waves(2)
    shuffled = clip[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    faults = {
        "differences FD": [shuffled, waves(1, pace=3.0), clip[:, ::2].repeat(1, 2, 1, 1)],
        "spectrum": [shuffled, waves(1, pace=3.0), clip[:, :1].expand(-1, 64, -1, -1)],
        "frames FD": [clip // 2, noise(64), clip[:, :1].expand(-1, 64, -1, -1)],
    }
    for name, clips in faults.items():
        for fault in clips:
            assert measure(fault, original)[name] > 2 * good[name], name
    assert 0.8 < good["energy"] < 1.25
    assert set(good) == {"frames FD", "frames KD", "differences FD", "differences KD",
                         "spectrum", "energy", "copy"}  # fmt: skip


def test_shuffled_frames_are_the_same_frames_and_another_motion(original: Original) -> None:
    """What a distance between frames alone would never see."""
    clip = waves(1)
    shuffled = clip[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    before, after = measure(clip, original), measure(shuffled, original)
    assert after["frames FD"] == pytest.approx(before["frames FD"], rel=0.35)
    assert after["frames KD"] < before["frames KD"] + 0.2 * abs(after["differences KD"])
    assert after["differences FD"] > 3 * before["differences FD"]
    assert after["differences KD"] > 3 * abs(before["differences KD"])
    assert after["energy"] > 2
    assert after["spectrum"] > 2 * before["spectrum"]


def test_the_original_itself_has_only_the_floor_of_few_windows(original: Original) -> None:
    found = measure(original.clips[0], original)
    assert 0 < found["frames FD"] < 0.1 * measure(original.clips[0] // 2, original)["frames FD"]
    assert found["spectrum"] == 0
    assert found["energy"] == pytest.approx(1)
    assert found["copy"] == pytest.approx(1)
    again = measure(original.clips[0], original, number=1)
    assert again["frames FD"] != found["frames FD"]  # other windows
    assert measure(original.clips[0], original) == found


def test_a_still_clip_has_no_energy_and_flicker_too_much(original: Original) -> None:
    still = waves(1)[:, :1].expand(-1, 64, -1, -1)
    assert energy(still) == 0
    found = measure(still, original)
    assert found["energy"] == 0 and np.isfinite(list(found.values())).all()
    dark = waves(1) // 2
    flicker = torch.stack([waves(1)[:, ::2], dark[:, ::2]], 2).flatten(1, 2)
    assert measure(flicker, original)["energy"] > 5


def test_energy_by_hand() -> None:
    clip = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
    clip[0, 1, 0] = torch.tensor([51, 0])
    clip[0, 2, 0] = torch.tensor([51, 102])
    assert energy(clip) == pytest.approx((0.2**2 / 2 + 0.4**2 / 2) / 2)


def test_differences_are_shown_around_grey_with_their_sign() -> None:
    clip = torch.tensor([0, 255, 200, 200, 205], dtype=torch.uint8).view(1, 5, 1, 1)
    assert shown_differences(clip).flatten().tolist() == [255, 0 + 100, 128, 130]
    assert shown_differences(clip, 4.0).flatten().tolist() == [255, 0, 128, 148]


def test_faint_motion_is_shown_as_strongly_as_any_other(linear: Callable[..., Extractor]) -> None:
    """Otherwise a distance of differences would be one of rounding."""
    extractor = linear(torch.eye(3 * SIDE * SIDE))
    faint = torch.from_numpy(np.random.default_rng(0).integers(120, 124, (3, 64, SIDE, SIDE)))
    strong = noise(64) // 2 + 64
    for clip in (faint.to(torch.uint8), strong):
        seen = look_at([clip], extractor, side=SIDE, count=64).differences * 255 - 127.5
        assert float(seen.square().mean().sqrt()) == pytest.approx(32, rel=0.1)


def test_white_noise_has_a_flat_spectrum_and_its_variance() -> None:
    frequencies, power = power_spectrum(noise(400))
    variance = (256**2 - 1) / 12 / 255**2
    assert frequencies[0] == 1 / 32 and frequencies[-1] == 0.5
    # The lowest frequency lost some to the segments' means, the highest has one side alone.
    np.testing.assert_allclose(power[1:-1], 2 * variance, rtol=0.05)


def test_a_wave_stands_at_its_frequency() -> None:
    t = torch.arange(128)
    wave = (127.5 + 100 * torch.sin(2 * torch.pi * t / 8)).round().to(torch.uint8)
    frequencies, power = power_spectrum(wave.view(1, -1, 1, 1).expand(1, 128, 2, 2))
    assert frequencies[power.argmax()] == 1 / 8
    away = np.abs(frequencies - 1 / 8) > 2 / 32
    assert power[away].max() < 1e-4 * power.max()
    total = power.sum() * frequencies[0]
    assert total == pytest.approx((100 / 255) ** 2 / 2, rel=0.02)


def test_spectral_distance_is_in_decibels() -> None:
    power = np.array([1.0, 0.1, 0.01])
    assert spectral_distance(power, 10 * power) == pytest.approx(10)
    assert spectral_distance(power, power) == 0
    assert spectral_distance(0 * power, np.full(3, 100 * ROUNDING)) == pytest.approx(20)


def test_a_loop_has_no_seam_and_a_cut_has_one() -> None:
    t = torch.arange(64) * 2 * torch.pi / 64
    levels = (127.5 + 100 * torch.sin(t + torch.linspace(0, 5, 36)[:, None])).round()
    loop = levels.to(torch.uint8).T.reshape(1, 64, 6, 6)
    assert seam(loop) == pytest.approx(1, rel=0.2)
    assert seam(loop[:, :40]) > 50
    assert seam(noise(64)) == pytest.approx(1, rel=0.1)  # where every step is a cut
    with pytest.raises(CoopNetsError, match="stands still"):
        seam(loop[:, :1].expand(-1, 64, -1, -1))


def test_a_repeated_piece_is_found_wherever_it_lies() -> None:
    clip = waves(0, 200)
    assert copied(clip[:, 90:150], [clip]) == pytest.approx(1)
    assert copied(clip[:, 90:150], [waves(5), clip]) == pytest.approx(1)
    backwards = copied(clip[:, 90:150].flip(1), [clip])
    assert copied(waves(3), [clip]) < 0.95 and backwards < 0.95
    assert abs(copied(noise(64), [noise(64, seed=1)])) < 0.1
    still = clip.double().mean(1, keepdim=True).round().to(torch.uint8).expand(-1, 64, -1, -1)
    assert copied(still, [clip]) < 0.5


def test_reconstruction_by_hand() -> None:
    clip = waves(0)
    off = (clip.int() + torch.tensor([1, -1]).repeat(32).view(1, 64, 1, 1) * 10).clamp(0, 255)
    psnr, ssim = reconstruction(off.to(torch.uint8), clip)
    difference = (off.double() - clip.double()) / 255
    assert psnr == pytest.approx(-10 * np.log10(float(difference.square().mean())))
    assert 0.5 < ssim < 1
    assert reconstruction(clip, clip) == (100.0, pytest.approx(1))
    with pytest.raises(CoopNetsError, match="differ"):
        reconstruction(clip, clip[:, 1:])


def test_distances_agree_with_the_library_of_published_ones() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(40, 60), 1.5 * torch.randn(50, 60) @ torch.randn(60, 60) / 8 + 0.2
    assert frechet(a, b) == pytest.approx(frechet_distance(moments(a), moments(b)), rel=1e-4)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    x, y = torch.randn(400, 8), torch.randn(400, 8) + 0.5
    mean, spread = kernel_distance(x, y)
    assert kernel(x, y) == pytest.approx(mean, abs=3 * spread / 5)


@pytest.mark.parametrize(
    ("clip", "says"),
    [
        (waves(0).float(), "uint8"),
        (waves(0)[:, :20], "20 frames"),
        (waves(0)[:, :, :8], "differ in size"),
    ],
)
def test_what_cannot_be_measured(original: Original, clip: Tensor, says: str) -> None:
    with pytest.raises(CoopNetsError, match=says):
        measure(clip, original)


def test_originals_that_cannot_be_measured_against(linear: Callable[..., Extractor]) -> None:
    extractor = linear(torch.eye(3))
    with pytest.raises(CoopNetsError, match="no clip"):
        look_at([], extractor)
    with pytest.raises(CoopNetsError, match="does not move"):
        look_at([waves(0)[:, :1].expand(-1, 64, -1, -1)], extractor)
    with pytest.raises(CoopNetsError, match="at least as large"):
        look_at([waves(0)], extractor, side=17)
