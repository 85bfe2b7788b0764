"""What each method changes of a preset: its own published recipe.

The size, the data, the batch, the arithmetic, the moving average and the generator's layers are
the preset's for every method, so that a comparison compares methods.
"""

from collections.abc import Callable
from dataclasses import replace

from coopnets.config import (
    Config,
    CriticConfig,
    LangevinConfig,
    OptimizerConfig,
    PosteriorConfig,
)
from coopnets.errors import CoopNetsError

VAE_SIGMAS = {3 * 32**2: 0.25}
"""By numbers of a picture, where trials (docs/methods.md) gave a smaller Frechet distance than
0.018 sqrt(dim(x)) does, which keeps the weight of a whole picture's error."""


def dcgan(config: Config) -> Config:
    """Radford, Metz, Chintala (ICLR 2016), sections 3 and 4.

    Adam at 2e-4 with beta1 0.5; weights start as N(0, 0.02^2); batch normalisation that learns
    its scale; ReLU in the generator, leaky ReLU of slope 0.2 in the discriminator.
    """
    adam = OptimizerConfig(kind="adam", lr=2e-4, beta1=0.5)
    return replace(
        config,
        generator=replace(
            config.generator, activation="relu", norm_scale=True, norm_eps=1e-5, init_std=0.02
        ),
        critic=_mirrored(config),
        critic_optimizer=adam,
        generator_optimizer=adam,
    )


def wgan(config: Config) -> Config:
    """Arjovsky, Chintala, Bottou (ICML 2017), Algorithm 1: RMSprop at 5e-5, c 0.01, n_critic 5.

    The networks are DCGAN's, as in their experiments.
    """
    rmsprop = OptimizerConfig(kind="rmsprop", lr=5e-5)
    return replace(dcgan(config), critic_optimizer=rmsprop, generator_optimizer=rmsprop)


def vae(config: Config) -> Config:
    """Adam at 1e-3 with its usual betas, as PyTorch's own example of a VAE.

    Kingma and Welling (ICLR 2014) used Adagrad on dense networks. Weights start as DCGAN's, whose
    decoder this is. sigma weighs the error against the divergence.
    """
    pixels = config.image_channels * config.size**2
    return replace(
        config,
        sigma=VAE_SIGMAS.get(pixels, float(f"{0.018 * pixels**0.5:.2g}")),
        generator=replace(config.generator, init_std=0.02),
        generator_optimizer=OptimizerConfig(kind="adam", lr=1e-3, beta1=0.9),
    )


def descriptor(config: Config) -> Config:
    """Nijkamp, Hill, Zhu, Wu (NeurIPS 2019) and their code (enijkamp/short_run).

    Each of K = 100 steps adds the gradient of f itself and noise of 0.01, from uniform noise;
    there is no reference. In our terms delta^2 / 2 = 1 and tau delta = 0.01. Observed images get
    noise of 0.03; Adam at 1e-4 with its usual betas; one output, PyTorch's own start.
    """
    delta = 2**0.5
    return replace(
        config,
        descriptor=replace(config.descriptor, outputs=1, init_std=None),
        langevin=LangevinConfig(steps=100, delta=delta, s=None, tau=0.01 / delta),
        descriptor_optimizer=OptimizerConfig(kind="adam", lr=1e-4, beta1=0.9),
        data_noise=0.03,
    )


def generator(config: Config) -> Config:
    """Han, Lu, Zhu, Wu (AAAI 2017): 30 steps of inference from the last z; Adam as the VAE's.

    The curvature of log p(x|z) is a sum over the pixels, so the step that inference can bear
    falls with their root: 0.05 at 28x28, 0.013 at 64x64 in colour. At 0.1 inference of the latter
    overshoots, and z grows to three times the size of the prior's. sigma 0.3 is the preset's.
    """
    pixels = config.image_channels * config.size**2
    return replace(
        config,
        generator=replace(config.generator, init_std=0.02),
        posterior=PosteriorConfig(steps=30, delta=float(f"{1.4 / pixels**0.5:.2g}")),
        flip=False,
        generator_optimizer=OptimizerConfig(kind="adam", lr=1e-3, beta1=0.5),
    )


def _mirrored(config: Config) -> CriticConfig:
    """DCGAN's discriminator: the generator's maps in reverse."""
    layers, count = config.generator, len(config.generator.channels)
    return CriticConfig(
        channels=layers.channels[::-1],
        kernels=layers.kernels[::-1][:count],  # the map of a latent map has one more
        strides=(2,) * len(layers.channels),
    )


RECIPES: dict[str, Callable[[Config], Config]] = {
    "coopnets": lambda config: config,
    "dcgan": dcgan,
    "wgan": wgan,
    "vae": vae,
    "descriptor": descriptor,
    "generator": generator,
}


def recipe(config: Config, method: str) -> Config:
    """A preset turned into the settings of a method.

    Raises:
        CoopNetsError: there is no such method.
    """
    if method not in RECIPES:
        raise CoopNetsError(f"there is no method {method!r}: choose one of {', '.join(RECIPES)}")
    forgetful = config if method == "coopnets" else replace(config, memory=0, teaching=0)
    return replace(RECIPES[method](forgetful), method=method)  # type: ignore[arg-type]
