"""Scores by hand and against other libraries; the interval against what it promises."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from coopnets.complete.scores import PSNR_CEILING, interval, scores, ssim_map


def test_error_and_psnr_by_hand() -> None:
    """Over hidden pixels and all channels, on [0, 1]: differences of 0.2 and 0.4 in [-1, 1]."""
    x = torch.zeros(1, 2, 2, 2)
    y, mask = x.clone(), torch.tensor([[True, False], [False, True]]).view(1, 1, 2, 2)
    y[0, 0, 0, 0], y[0, 1, 1, 1], y[0, 0, 0, 1] = 0.2, -0.4, 0.9  # the last one is visible
    found = scores(y, x, mask)
    assert found.error[0] == pytest.approx((0.1 + 0.2) / 4)
    assert found.psnr[0] == pytest.approx(-10 * math.log10((0.01 + 0.04) / 4), abs=1e-4)


def test_scores_are_of_each_image() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(3, 3, 16, 16) * 2 - 1, torch.rand(3, 3, 16, 16) * 2 - 1
    mask = torch.rand(3, 1, 16, 16) > 0.5
    together = scores(y, x, mask)
    for i in range(3):
        alone = scores(y[i : i + 1], x[i : i + 1], mask[i : i + 1])
        for name in ("error", "psnr", "ssim"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name)[0])


def test_perfect_and_opposite() -> None:
    x, mask = torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., 4:9, 4:9] = True
    same = scores(x, x, mask)
    assert (same.error[0], same.psnr[0], same.ssim[0]) == (0, PSNR_CEILING, pytest.approx(1))
    worst = scores(torch.where(mask, -x, x), x, mask)
    assert (worst.error[0], worst.psnr[0]) == (1, pytest.approx(0))


def test_gaussian_errors_have_the_published_ratio() -> None:
    """10^(-PSNR/20) is sqrt(pi / 2) times the error: what the definitions were told from."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(4, 3, 64, 64)
    y = 0.3 * torch.randn(4, 3, 64, 64, generator=generator)
    found = scores(y, x, torch.ones(1, 1, 64, 64, dtype=torch.bool))
    ratio = 10 ** (-found.psnr / 20) / found.error
    assert ratio == pytest.approx(math.sqrt(math.pi / 2), rel=0.01)


def test_ssim_is_that_of_skimage() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((3, 24, 24))
    b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1)
    _, expected = structural_similarity(
        a, b, data_range=1, gaussian_weights=True, use_sample_covariance=False, sigma=1.5,
        channel_axis=0, full=True,
    )  # fmt: skip
    np.testing.assert_allclose(ssim_map(a, b), expected, atol=1e-10)


def test_ssim_is_averaged_over_hidden_pixels() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.rand(1, 1, 20, 20, generator=rng) * 2 - 1 for _ in range(2))
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    mask[..., 5:9, 7:12] = True
    around = ssim_map((y[0, 0].double().numpy() + 1) / 2, (x[0, 0].double().numpy() + 1) / 2)
    assert scores(y, x, mask).ssim[0] == pytest.approx(around[5:9, 7:12].mean())


def test_interval_covers_as_often_as_it_says() -> None:
    """95 % intervals from 100 sets of 60 skewed values hold the true mean about so often.

    Fewer than 86 of 100 have a chance of one in ten thousand at 95 %.
    """
    rng = np.random.default_rng(0)
    held = 0
    for i in range(100):
        found = interval(rng.gamma(4, 0.03, 60), seed=i)
        held += found.low <= 0.12 <= found.high
        assert found.low < found.mean < found.high
    assert 86 <= held < 100


def test_interval_narrows_with_more_images() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.12, 0.04, 1600)
    few, many = interval(values[:100]), interval(values)
    assert (many.high - many.low) == pytest.approx(2 * 1.96 * 0.04 / 40, rel=0.1)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.25)
    assert interval(values) == many
    assert math.isnan(interval(values[:1]).low)
