"""Parzen windows against closed forms, and both protocols point by point."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.evaluate import parzen
from coopnets.evaluate.parzen import as_published, clean, log_likelihoods


def log_normal(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    law = torch.distributions.Normal(mean.double(), sigma)
    return law.log_prob(x.double()).flatten(1).sum(1)


def images(count: int, seed: int, side: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 1, side, side), dtype=np.uint8)


def test_one_centre_is_a_gaussian() -> None:
    x, centre = torch.rand(600, 784), torch.rand(1, 784)  # more images than a block
    found = log_likelihoods(x, centre, [0.1, 0.7])
    assert found.dtype == torch.float64
    for row, sigma in zip(found, (0.1, 0.7), strict=True):
        torch.testing.assert_close(row, log_normal(x, centre, sigma), rtol=1e-10, atol=1e-8)


def test_several_centres_are_their_mean_density() -> None:
    x, centres = torch.rand(5, 4), torch.rand(7, 4)
    each = torch.stack([log_normal(x, c, 0.3).exp() for c in centres])
    torch.testing.assert_close(log_likelihoods(x, centres, [0.3])[0], each.mean(0).log())


def test_far_centres_do_not_underflow() -> None:
    x = torch.zeros(1, 784)
    found = log_likelihoods(x, torch.full((2, 784), 1.0), [0.01])
    torch.testing.assert_close(found[0], log_normal(x, torch.ones(784), 0.01))


def test_published_mean_error_and_sigma_by_hand() -> None:
    """Points 2 to 5 on a single centre pair, with a stretch of the samples as a whole."""
    low, high = torch.full((1, 1, 3, 3), -0.5), torch.full((1, 1, 3, 3), 0.5)
    test, train = images(40, 0), images(30, 1)
    found = as_published([torch.cat([low, high])], train, test)
    centres = torch.tensor([0.0, 1.0]).view(2, 1).expand(2, 9)
    by_sigma = {}
    for sigma in 10 ** np.linspace(-1, 0, 10):
        of_train = log_likelihoods(torch.from_numpy(train).flatten(1) / 255, centres, [sigma])
        by_sigma[float(of_train.mean())] = sigma
    assert found.sigma == pytest.approx(by_sigma[max(by_sigma)])
    x = torch.from_numpy(test).flatten(1).double() / 255
    each = torch.stack([log_normal(x, c, found.sigma).exp() for c in centres]).mean(0).log()
    assert found.log_likelihood == pytest.approx(float(each.mean()))
    assert found.standard_error == pytest.approx(float(np.std(each.numpy())) / math.sqrt(40))


def test_published_samples_are_clipped_before_the_stretch() -> None:
    inside = torch.tensor([-1.0, 1.0, 0.2]).view(3, 1, 1, 1)
    outside = torch.tensor([-9.0, 3.0, 0.2]).view(3, 1, 1, 1)
    train, test = images(20, 1, side=1), images(20, 0, side=1)
    assert as_published([outside], train, test) == as_published([inside], train, test)


def test_published_sigma_comes_from_images_50000_to_50999() -> None:
    """Elsewhere the images lie on a centre, which asks for the least sigma; there half way."""
    train = np.zeros((55_000, 1, 1, 1), np.uint8)
    train[50_000:51_000] = 128
    samples = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
    found = as_published([samples], train, images(9, 0, side=1))
    assert found.sigma == pytest.approx(10 ** (-1 / 3))
    assert found.sigma_on == "training images 50,000 to 50,999" and not found.edge
    shifted = np.roll(train, 1000, axis=0)
    assert as_published([samples], shifted, images(9, 0, side=1)).sigma == pytest.approx(0.1)
    short = as_published([samples], train[:51_000][-700:], images(9, 0, side=1))
    assert short.sigma_on == "training images 0 to 699"


def test_published_takes_the_best_epoch_by_the_test_score() -> None:
    train, test = images(20, 1), images(20, 0)
    good = torch.from_numpy(test) / 127.5 - 1
    bad = [torch.rand(20, 1, 3, 3, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    found = as_published([bad[0], good, bad[1]], train, test)
    assert found.epochs == 3
    assert found.log_likelihood == as_published([good], train, test).log_likelihood


def test_both_take_the_first_ten_thousand_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parzen, "CENTRES", 15)
    samples, train, test = torch.rand(30, 1, 3, 3) * 2 - 1, images(20, 1), images(20, 0)
    assert clean(samples, train, test) == clean(samples[:15], train, test)
    assert clean(samples, train, test).centres == 15
    assert as_published([samples], train, test) == as_published([samples[:15]], train, test)


def test_clean_finds_the_width_of_the_data() -> None:
    """Centres far apart, images around them with deviation 0.1."""
    rng = np.random.default_rng(0)
    centres = rng.choice([0.35, 0.65], (50, 400))

    def around(count: int) -> np.ndarray:
        x = centres[rng.integers(50, size=count)] + rng.normal(0, 0.1, (count, 400))
        return np.rint(x.clip(0, 1) * 255).astype(np.uint8).reshape(count, 1, 20, 20)

    samples = torch.from_numpy(centres * 2 - 1).view(50, 1, 20, 20)
    found = clean(samples, around(300), around(200))
    assert found.sigma == pytest.approx(0.1, rel=0.06) and not found.edge
    # The entropy of the noise and of the choice of a centre; its own error is near one nat.
    expected = -200 * (1 + math.log(2 * math.pi * 0.1**2)) - math.log(50)
    assert found.log_likelihood == pytest.approx(expected, abs=8)
    assert found.standard_error == pytest.approx(math.sqrt(400 / 2 / 200), rel=0.3)


def test_clean_error_is_that_of_a_mean() -> None:
    test = images(50, 0, side=1)
    found = clean(torch.zeros(1, 1, 1, 1), images(60, 1, side=1), test)
    x = torch.from_numpy(test).flatten(1).double() / 255
    each = log_normal(x, torch.tensor([[0.5]]), found.sigma)
    assert found.log_likelihood == pytest.approx(float(each.mean()))
    assert found.standard_error == pytest.approx(float(each.std()) / math.sqrt(50))


def test_clean_sigma_does_not_look_at_the_test_images() -> None:
    samples, train = torch.rand(20, 1, 3, 3) * 2 - 1, images(50, 1)
    found = {clean(samples, train, images(20, i)).sigma for i in range(5)}
    flat = clean(samples, train, np.zeros((20, 1, 3, 3), np.uint8)).sigma
    assert found == {flat}


def test_clean_scale_is_fixed() -> None:
    """No stretch: samples in a part of the range stay there."""
    samples = torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1)
    test = np.array([64, 191], np.uint8).reshape(2, 1, 1, 1)  # 0.25 and 0.75
    found = clean(samples, test, test)
    x = torch.tensor([[0.25], [0.75]]).double()
    expected = log_likelihoods(x, x, [found.sigma]).mean()
    assert found.log_likelihood == pytest.approx(float(expected), rel=0.05)
    assert found.edge  # images on their centres ask for a window of no width


def test_impossible_windows_are_one_line() -> None:
    train, test = images(5, 1), images(5, 0)
    none, alike = torch.zeros(0, 1, 3, 3), torch.zeros(4, 1, 3, 3)
    attempts = [
        lambda: as_published([], train, test),
        lambda: as_published([none], train, test),
        lambda: as_published([alike], train, test),
        lambda: clean(none, train, test),
        lambda: clean(alike, train[:0], test),
        lambda: clean(alike, train, test[:1]),
    ]
    for attempt in attempts:
        with pytest.raises(CoopNetsError) as error:
            attempt()
        assert "\n" not in str(error.value)
