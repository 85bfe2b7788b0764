"""Textures: the floor and the order of distances, copies found out, spectra kept."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.evaluate import Extractor
from coopnets.evaluate.textures import (
    correlations,
    largest_correlation,
    phase_noise,
    random_windows,
    texture_distance,
)


def spots(seed: int, side: int = 96) -> Tensor:
    """A field of soft blobs, stationary, uint8 (3, side, side)."""
    rng = np.random.default_rng(seed)
    field = np.fft.rfft2(rng.normal(size=(3, side, side)))
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    smooth = np.fft.irfft2(field * np.exp(-200 * (rows**2 + columns**2)), s=(side, side))
    return torch.from_numpy((128 + 100 * np.tanh(smooth / smooth.std())).astype(np.uint8))


def test_windows_are_pieces_of_the_picture_from_everywhere() -> None:
    picture = torch.arange(7 * 9, dtype=torch.uint8).view(1, 7, 9)
    cut = random_windows([picture], 3, 500)
    tops = {int(w[0, 0, 0]) for w in cut}
    assert tops == {9 * r + c for r in range(5) for c in range(7)}
    for window in cut[:20]:
        assert torch.equal(window - window[:, :1, :1], picture[:, :3, :3])
    with pytest.raises(CoopNetsError, match="at least as large"):
        random_windows([picture], 8, 1)


def test_distance_orders_the_same_texture_before_another(
    linear: Callable[..., Extractor],
) -> None:
    torch.manual_seed(0)
    extractor = linear(torch.randn(3 * 16 * 16, 12))
    original, again = spots(0), spots(1)
    same = texture_distance([again], [original], extractor, 16, count=400)
    floor = texture_distance([original], [original], extractor, 16, count=400)
    darker = texture_distance([again // 2], [original], extractor, 16, count=400)
    noise = torch.randint(256, (3, 96, 96), dtype=torch.uint8)
    rough = texture_distance([noise], [original], extractor, 16, count=400)
    assert 0 < floor < same < min(darker, rough) / 3


def test_a_copy_is_found_wherever_it_lies_whatever_its_contrast() -> None:
    original = spots(0)
    piece = original[:, 20:70, 31:81]
    assert largest_correlation(piece, original, 24) == pytest.approx(1, abs=1e-6)
    faded = (piece.double() / 2 + 40).round().to(torch.uint8)
    assert largest_correlation(faded, original, 24) > 0.999
    assert largest_correlation(spots(1), original, 24) < 0.9


def test_correlation_by_hand() -> None:
    rng = np.random.default_rng(0)
    picture, patch = rng.normal(size=(2, 9, 8)), rng.normal(size=(2, 4, 3))
    found = correlations(patch, picture)
    assert found.shape == (6, 6)
    place, part = (x - x.mean((1, 2), keepdims=True) for x in (picture[:, 2:6, 5:8], patch))
    expected = (place * part).sum() / np.sqrt((place**2).sum() * (part**2).sum())
    assert found[2, 5] == pytest.approx(expected, abs=1e-9)
    flat = np.ones((2, 9, 8))
    flat[1] = 7
    assert np.all(correlations(patch, flat) == 0)


def test_two_pictures_of_one_hue_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    hue = np.array([200.0, 120, 60])[:, None, None]
    picture, patch = hue + rng.normal(0, 20, (3, 64, 64)), hue + rng.normal(0, 20, (3, 24, 24))
    assert float(correlations(patch, picture).max()) < 0.3
    assert float(correlations(picture[:, 9:33, 5:29] / 2 + 40, picture).max()) > 0.999


def test_phase_noise_keeps_spectrum_and_colours_and_nothing_else() -> None:
    original = spots(0).double().mul(0.3).add(90).to(torch.uint8)  # so that nothing is cut off
    made = phase_noise(original, seed=3)
    before, after = (torch.fft.rfft2(x.double()).abs() for x in (original, made))
    assert float((before - after).norm() / before.norm()) < 0.02
    colours = [torch.corrcoef(x.double().flatten(1)) for x in (original, made)]
    torch.testing.assert_close(colours[0], colours[1], atol=0.02, rtol=0)
    assert largest_correlation(made, original, 48) < 0.9
