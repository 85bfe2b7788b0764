"""Alternating back-propagation: what inference finds, and whose latent vectors it moves."""

import pytest
import torch
from methods_small import Factors, factors, small
from torch import Tensor

from coopnets.config import Config
from coopnets.data import batch_indices
from coopnets.errors import CoopNetsError
from coopnets.methods import build, recipe
from coopnets.methods.alternating import Alternating
from coopnets.optimize import make_optimizer
from coopnets.presets import preset
from coopnets.processes import Processes

SIGMA, LATENT, SIDE, COPIES, DELTA = 0.5, 3, 4, 4_000, 0.25


def of_factors(config: Config, w: Tensor, images: int) -> Alternating:
    """The method with a factor model for generator, which stays as it is."""
    learner = Alternating(config, Processes(), images)
    learner.g, learner.averages = Factors(w), {}  # type: ignore[assignment]
    still = make_optimizer(learner.g, config.generator_optimizer)
    learner.networks["generator"] = learner.g
    learner.optimizers["generator"] = still
    return learner


def test_latent_vectors_tend_to_the_exact_posterior() -> None:
    """From iteration to iteration, since each goes on where the last one stopped."""
    w, image = factors(SIDE**2, LATENT), SIDE * factors(SIDE**2, 1, seed=1)[:, 0]
    config = small(
        "generator", size=SIDE, batch_size=COPIES, sigma=SIGMA, ema=0.0,
        generator={"latent": LATENT}, posterior={"steps": 5, "delta": DELTA},
        generator_optimizer={"lr": 0.0},
    )  # fmt: skip
    learner = of_factors(config, w, COPIES)
    x = image.view(1, 1, SIDE, SIDE).expand(COPIES, -1, -1, -1)
    for t in range(30):
        learner.iterate(x, t)
    z = learner.extras["latents"]
    precision = torch.eye(LATENT) + w.t() @ w / SIGMA**2
    cov = precision.inverse()
    mean = cov @ w.t() @ image / SIGMA**2
    spread = cov.diagonal().sqrt()
    assert ((z.mean(0) - mean).abs() < 4 * spread / COPIES**0.5).all()
    assert (mean.abs() > 10 * spread / COPIES**0.5).any()  # the prior's mean would not do
    # The step makes the spread a little larger, by a known factor: (1 - delta^2 precision / 4)^-1.
    widened = cov @ (torch.eye(LATENT) - DELTA**2 / 4 * precision).inverse()
    error = (torch.cov(z.t()) - widened).abs()
    assert (error < 4 * (2 / COPIES) ** 0.5 * spread[:, None] * spread * 1.2).all()


def test_latent_vectors_start_as_the_prior() -> None:
    z = Alternating(small("generator", generator={"latent": 50}), Processes(), 2000).extras[
        "latents"
    ]
    assert z.shape == (2000, 50)
    assert abs(float(z.mean())) < 4 / 1e5**0.5
    assert abs(float(z.var()) - 1) < 4 * (2 / 1e5) ** 0.5


@pytest.mark.parametrize("t", [0, 1, 3])
def test_only_the_vectors_of_the_batch_move(t: int) -> None:
    """Batch t of the loop, which at t = 3 spans two epochs of 30 images."""
    learner = Alternating(small("generator"), Processes(), 30)
    before = learner.extras["latents"].clone()
    learner.iterate(torch.rand(8, 1, 8, 8) * 2 - 1, t)
    moved = (learner.extras["latents"] != before).any(1).nonzero()[:, 0].tolist()
    assert set(moved) == set(batch_indices(30, 8, t, 0).tolist())


def test_an_image_that_is_often_in_a_batch_keeps_one_of_its_vectors() -> None:
    """Three images in a batch of eight: what is kept was inferred for that image."""
    learner, kept = Alternating(small("generator"), Processes(), 3), {}
    infer = learner.infer

    def watched(x: Tensor, z: Tensor, draws: object) -> Tensor:
        kept["z"] = infer(x, z, draws)  # type: ignore[arg-type]
        return kept["z"]

    learner.infer = watched  # type: ignore[method-assign]
    learner.iterate(torch.rand(8, 1, 8, 8) * 2 - 1, 0)
    rows = batch_indices(3, 8, 0, 0)
    for image in range(3):
        last = int((rows == image).nonzero()[-1])
        assert torch.equal(learner.extras["latents"][image], kept["z"][last])


def test_inference_does_not_mix_the_images_of_a_batch() -> None:
    """Running statistics: the vector of an image does not depend on its neighbours."""
    learner = Alternating(small("generator", posterior={"steps": 4, "tau": 0.0}), Processes(), 8)
    x = torch.rand(8, 1, 8, 8) * 2 - 1
    learner.iterate(x, 0)
    z = torch.randn(8, 6)
    draws = Processes().draws(0)
    together, alone = learner.infer(x, z, draws), learner.infer(x[:1], z[:1], draws)
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
    assert learner.g.training


def test_step_of_inference_falls_with_the_root_of_the_pixels() -> None:
    """The curvature of log p(x|z) is a sum over them."""
    digits, scene = recipe(preset("digits"), "generator"), recipe(preset("scene"), "generator")
    assert digits.posterior.delta == 0.05
    ratio = digits.posterior.delta / scene.posterior.delta
    assert ratio == pytest.approx((3 * 64**2 / 28**2) ** 0.5, rel=0.05)


def test_latent_vectors_are_not_shared_by_processes() -> None:
    with pytest.raises(CoopNetsError, match="kept by one process"):
        build(small("generator"), Processes(world=2), 40)
