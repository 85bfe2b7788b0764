"""Recipes: what they set, and what they leave to the preset."""

from dataclasses import replace

import pytest

from coopnets.concern import CONCERNED
from coopnets.config import SAMPLED_BY, Config, flatten
from coopnets.errors import CoopNetsError
from coopnets.methods import METHODS, build, recipe
from coopnets.methods.recipes import RECIPES, VAE_SIGMAS
from coopnets.presets import PRESETS, preset
from coopnets.processes import Processes
from coopnets.validate import validate

OTHERS = sorted(set(RECIPES) - {"coopnets"})
SHARED = ("preset", "size", "image_channels", "crop", "sigma", "batch_size", "chains", "ema",
          "precision", "layout", "seed", "generator.latent", "generator.channels",
          "generator.kernels", "descriptor.channels", "descriptor.kernels")  # fmt: skip


@pytest.mark.parametrize("method", ["vae", "generator"])
@pytest.mark.parametrize("name", ["texture", "matlab-texture"])
def test_inference_of_latent_maps_is_refused(name: str, method: str) -> None:
    with pytest.raises(CoopNetsError, match="infers latent vectors"):
        validate(recipe(preset(name), method))


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("name", PRESETS)
def test_recipe_makes_networks_of_every_preset(name: str, method: str) -> None:
    config = recipe(preset(name), method)
    if config.generator.start == "map" and method in ("vae", "generator"):
        pytest.skip("has latent maps")
    if config.frames and method != "descriptor":
        with pytest.raises(CoopNetsError, match="knows images alone"):
            validate(config)
        return
    validate(config)
    before, after = dict(flatten(preset(name))), dict(flatten(config))
    assert config.method == method
    shared = [k for k in SHARED if (k, method) != ("sigma", "vae")]
    assert {k: after[k] for k in shared} == {k: before[k] for k in shared}
    learner = build(replace(config, layout="contiguous"), Processes(), 10)
    assert set(SAMPLED_BY[method]) <= set(learner.networks)
    assert set(learner.averages) == (set(SAMPLED_BY[method]) if config.ema else set())
    assert learner.memory.z.numel() == 0


def test_the_error_of_a_vae_weighs_alike_but_where_trials_say_otherwise() -> None:
    """sigma^2 grows with the number of pixels, over which the squared error is summed."""
    assert recipe(preset("cifar"), "vae").sigma == VAE_SIGMAS[3 * 32**2] != 0.018 * 3072**0.5
    digits, face = (recipe(preset(name), "vae").sigma for name in ("digits", "face"))
    assert digits == 0.5
    assert face**2 / digits**2 == pytest.approx(3 * 64**2 / 28**2, rel=0.05)


def test_cooperative_learning_is_the_preset_itself() -> None:
    for config in PRESETS.values():
        assert recipe(config, "coopnets") == config


def test_names_agree() -> None:
    assert set(RECIPES) == set(SAMPLED_BY) == {*METHODS, "generator"}
    assert set(CONCERNED) <= {k.partition(".")[0] for k, _ in flatten(Config())}
    with pytest.raises(CoopNetsError, match="no method 'gan'"):
        recipe(Config(), "gan")


def test_dcgan_is_that_of_its_paper() -> None:
    c = recipe(preset("scene"), "dcgan")
    for adam in (c.critic_optimizer, c.generator_optimizer):
        assert (adam.kind, adam.lr, adam.beta1, adam.beta2) == ("adam", 2e-4, 0.5, 0.999)
        assert (adam.clip, adam.cap, adam.decay, adam.weight_decay) == (None, None, 1.0, 0.0)
    assert (c.critic.slope, c.critic.norm, c.critic.init_std) == (0.2, "batch", 0.02)
    g = c.generator
    assert (g.activation, g.norm, g.norm_scale, g.init_std) == ("relu", "batch", True, 0.02)
    assert c.critic.channels == (48, 96, 192, 384) == g.channels[::-1]


def test_wgan_is_that_of_its_paper_on_dcgans_networks() -> None:
    c = recipe(preset("scene"), "wgan")
    for rmsprop in (c.critic_optimizer, c.generator_optimizer):
        assert (rmsprop.kind, rmsprop.lr, rmsprop.alpha) == ("rmsprop", 5e-5, 0.99)
    assert (c.wgan.clip, c.wgan.critic_steps, c.wgan.gradient_penalty) == (0.01, 5, 0.0)
    gan = recipe(preset("scene"), "dcgan")
    assert (c.critic, c.generator) == (gan.critic, gan.generator)


def test_short_runs_are_those_of_their_code() -> None:
    """x + f' + 0.01 e, a hundred times, from uniform noise; data with noise of 0.03."""
    c = recipe(preset("cifar"), "descriptor")
    assert c.langevin.steps == 100 and c.langevin.s is None and c.chain.start == "noise"
    assert c.langevin.delta**2 / 2 == pytest.approx(1.0)
    assert c.langevin.tau * c.langevin.delta == pytest.approx(0.01)
    assert (c.langevin.drift_clip, c.langevin.clamp, c.data_noise) == (None, None, 0.03)
    adam = c.descriptor_optimizer
    assert (adam.kind, adam.lr, adam.beta1, adam.clip, adam.decay) == ("adam", 1e-4, 0.9, None, 1)
    assert (c.descriptor.outputs, c.descriptor.init_std) == (1, None)


def test_mirror_images_have_no_latent_vector() -> None:
    """So inference from the last z goes without, and says so if it is asked for them."""
    c = recipe(replace(preset("scene"), flip=True), "generator")
    assert not c.flip and recipe(replace(preset("scene"), flip=True), "dcgan").flip
    validate(c)
    with pytest.raises(CoopNetsError, match="--flip"):
        validate(replace(c, flip=True))
