"""The scores obey their laws, and agree with a second library."""

import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from coopnets.errors import CoopNetsError
from coopnets.evaluate import scores
from coopnets.evaluate.scores import (
    FEW,
    SPREAD,
    Moments,
    all_scores,
    frechet_distance,
    inception_score,
    kernel_distance,
    moments,
    precision_recall,
    score_names,
    warnings_for,
)


def normal(count: int, dimension: int, seed: int) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def skewed(seed: int, count: int = 300, shift: float = 0.0) -> Tensor:
    """Features with correlations, as a network's are."""
    mixing = normal(12, 12, 99)
    return (normal(count, 12, seed) @ mixing).relu() + shift


class Flat(nn.Module):
    """Lets torchmetrics take features for images."""

    num_features = 12

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_distance_of_two_gaussians_is_the_formula() -> None:
    """Diagonal covariances commute: the sum over axes of (m - n)^2 + (s - t)^2."""
    m, n = torch.tensor([1.0, 2, 3]).double(), torch.tensor([0.5, 2, 5]).double()
    s, t = torch.tensor([1.0, 0.2, 3]).double(), torch.tensor([2.0, 0.2, 1]).double()
    a, b = Moments(m, (s**2).diag(), 9), Moments(n, (t**2).diag(), 9)
    expected = float(((m - n) ** 2 + (s - t) ** 2).sum())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    turn = torch.linalg.qr(normal(3, 3, 0).double()).Q  # the same distance, seen from elsewhere
    a, b = (Moments(turn @ x.mean, turn @ x.covariance @ turn.T, 9) for x in (a, b))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_moments_are_numpys() -> None:
    features = skewed(0, 2500) + 100  # more than a chunk, far from 0
    found = moments(features)
    exact = features.double().numpy()
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(exact, rowvar=False), rtol=1e-9)


def test_distance_of_equal_sets_is_zero_though_singular() -> None:
    few = moments(normal(5, 30, 0))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-5)


def test_frechet_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    generated, real = skewed(1), skewed(2, shift=0.3)
    other = FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2)).set_dtype(
        torch.float64
    )
    other.update(real.double().view(-1, 3, 2, 2), real=True)
    other.update(generated.double().view(-1, 3, 2, 2), real=False)
    ours = frechet_distance(moments(generated), moments(real))
    assert ours == pytest.approx(float(other.compute()), rel=1e-3) and ours > 1


def test_kernel_distance_agrees_with_torchmetrics() -> None:
    """The same subsets, the other library's kernel and estimator."""
    from torchmetrics.image.kid import poly_mmd

    generated, real = skewed(1), skewed(2, 240, shift=0.3)
    chance = np.random.RandomState(5)
    found = []
    for _ in range(scores.SUBSETS):
        x = generated[chance.choice(300, 120, replace=False)].double()
        y = real[chance.choice(240, 120, replace=False)].double()
        found.append(float(poly_mmd(y, x)))
    mean, spread = kernel_distance(generated, real, seed=5)
    assert mean == pytest.approx(np.mean(found), rel=1e-3)
    assert spread == pytest.approx(np.std(found), rel=1e-3) and spread > 0


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inception_score_agrees_with_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.image.inception import InceptionScore

    monkeypatch.setattr(scores, "SPLITS", 1)  # the two libraries shuffle differently
    logits = 3 * normal(200, 12, 4)
    other = InceptionScore(feature=Flat(), splits=1)
    other.update(logits.view(-1, 3, 2, 2))
    assert inception_score(logits)[0] == pytest.approx(float(other.compute()[0]), rel=1e-3)


def test_kernel_distance_is_unbiased() -> None:
    """Zero on average for equal distributions; the biased estimator is far above."""
    found = [kernel_distance(normal(40, 6, 2 * i), normal(40, 6, 2 * i + 1))[0] for i in range(60)]
    error = np.std(found) / math.sqrt(len(found))
    biased = 2 * (2**3 - 1) / 20  # k(x, x) is near 2^3 and k(x, y) near 1, over subsets of 20
    assert abs(np.mean(found)) < 4 * error < biased / 3


def test_inception_score_lies_between_one_and_the_number_of_classes() -> None:
    sure = torch.eye(5).repeat(400, 1) * 50
    assert inception_score(sure)[0] == pytest.approx(5, rel=0.02)
    assert inception_score(torch.zeros(100, 5)) == pytest.approx((1, 0))


def test_precision_and_recall_of_equal_and_of_disjoint_sets() -> None:
    a = normal(60, 4, 0)
    assert precision_recall(a, a.clone()) == (1, 1)
    assert precision_recall(a, a + 100) == (0, 0)


def test_precision_and_recall_tell_a_missed_mode_from_a_false_one() -> None:
    one, both = normal(50, 4, 0), torch.cat([normal(50, 4, 1), normal(50, 4, 2) + 100])
    precision, recall = precision_recall(one, both)
    assert precision > 0.8 and recall < 0.6
    precision, recall = precision_recall(both, one)
    assert precision < 0.6 and recall > 0.8


def test_large_sets_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as of the whole, not as of the first half, which is another mode."""
    monkeypatch.setattr(scores, "PAIRED", 60)
    sorted_by_class = torch.cat([normal(100, 2, 0), normal(100, 2, 1) + 100])
    precision, recall = precision_recall(sorted_by_class, sorted_by_class)
    assert precision > 0.5 and recall > 0.5
    assert precision_recall(normal(90, 2, 3) + 100, sorted_by_class)[0] > 0.5


def test_only_the_official_network_gives_a_fid() -> None:
    assert score_names("inception", True) == {"frechet": "FID", "kernel": "KID", "inception": "IS"}
    other = score_names("efficientnet-lite0", False)
    assert other["frechet"] == "FD (efficientnet-lite0)"
    assert not any("FID" in name or name in ("KID", "IS") for name in other.values())


def test_every_score_stands_under_its_name() -> None:
    generated, real, logits = skewed(1, 40), skewed(2, 50), normal(40, 3, 0)
    names = score_names("net", False)
    found = all_scores(generated, logits, real, moments(real), names)
    assert found["FD (net)"] == frechet_distance(moments(generated), moments(real))
    assert (found["KID (net)"], found["KID (net)" + SPREAD]) == kernel_distance(generated, real)
    assert (found["IS (net)"], found["IS (net)" + SPREAD]) == inception_score(logits)
    assert (found["precision"], found["recall"]) == precision_recall(generated, real)
    assert "IS (net)" not in all_scores(generated, None, real, moments(real), names)


def test_small_sets_are_warned_of() -> None:
    assert warnings_for(FEW, FEW, 2048, "FID") == []
    biased = warnings_for(FEW - 1, 50_000, 2048, "FID")
    assert len(biased) == 1 and "biased" in biased[0] and "9,999" in biased[0]
    singular = warnings_for(50_000, 1280, 1280, "FD (x)")
    assert len(singular) == 2 and "singular" in singular[1] and "FD (x)" in singular[1]


def test_failures_are_one_line() -> None:
    good, bad = normal(20, 3, 0), normal(20, 3, 1)
    bad[3, 1] = math.nan
    attempts = [
        lambda: moments(bad),
        lambda: moments(good[:1]),
        lambda: kernel_distance(bad, good),
        lambda: kernel_distance(good[:3], good),
        lambda: inception_score(bad),
        lambda: inception_score(good[:9]),
        lambda: precision_recall(good[:3], good),
        lambda: frechet_distance(moments(good), moments(good[:, :2])),
        lambda: frechet_distance(moments(good), Moments(bad[3], bad[:3].double(), 20)),
    ]
    for attempt in attempts:
        with pytest.raises(CoopNetsError) as error:
            attempt()
        assert "\n" not in str(error.value)


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.metric_fid", None)
    stated = moments(normal(9, 2, 0))
    with pytest.raises(CoopNetsError, match=r'torch_fidelity; pip install "coopnets\[evaluate\]"'):
        frechet_distance(stated, stated)
