"""Settings that make no sense, refused before anything is computed."""

import math

from coopnets.config import Config, flatten, image_shape, receptive_field
from coopnets.errors import CoopNetsError

BUFFER_BYTES = 2**31
"""Of persistent chains of clips, at most."""
AT_LEAST: dict[str, float] = {
    "size": 4, "frames": 0,
    "batch_size": 1, "chains": 1, "memory": 0, "teaching": 0, "energy_l2": 0, "lead": 0,
    "data_noise": 0, "ema": 0, "langevin.steps": 0, "langevin.tau": 0, "langevin.sample_tau": 0,
    "langevin.sample_steps": 0, "posterior.steps": 0,
    "descriptor.outputs": 1, "generator.latent": 1, "generator.states": 0,
    "descriptor_optimizer.decay_every": 1, "generator_optimizer.decay_every": 1,
    "descriptor_optimizer.weight_decay": 0, "generator_optimizer.weight_decay": 0,
    "descriptor_optimizer.momentum": 0, "generator_optimizer.momentum": 0,
    "critic_optimizer.decay_every": 1, "critic_optimizer.weight_decay": 0,
    "critic_optimizer.momentum": 0, "wgan.gradient_penalty": 0, "wgan.critic_steps": 1,
    "encoder_optimizer.decay_every": 1, "encoder_optimizer.weight_decay": 0,
    "encoder_optimizer.momentum": 0, "observed.weight": 0, "observed.kl_weight": 0,
    "vae.kl_weight": 0, "chain.buffer": 1, "chain.restart": 0,
}  # fmt: skip
POSITIVE = (
    "sigma", "crop", "fps", "slope_weight",
    "langevin.delta", "langevin.damping", "langevin.s", "langevin.clamp", "langevin.drift_clip",
    "posterior.delta", "descriptor_optimizer.lr", "generator_optimizer.lr",
    "descriptor_optimizer.clip", "generator_optimizer.clip", "descriptor_optimizer.cap",
    "generator_optimizer.cap", "descriptor.init_std", "generator.init_std",
    "critic_optimizer.lr", "critic_optimizer.clip", "critic_optimizer.cap", "critic.init_std",
    "encoder_optimizer.lr", "encoder_optimizer.clip", "encoder_optimizer.cap", "wgan.clip",
)  # fmt: skip
"""Fields above 0, unless None."""


def validate(config: Config) -> None:
    """Pass settings that can be computed with.

    Raises:
        CoopNetsError: one cannot; the message names it and its bound.
    """
    values = dict(flatten(config))
    for name, least in AT_LEAST.items():
        if values[name] is not None and not values[name] >= least:
            raise CoopNetsError(f"{_flag(name)} is {values[name]}: it must be at least {least:g}")
    for name in POSITIVE:
        if values[name] is not None and not values[name] > 0:
            raise CoopNetsError(f"{_flag(name)} is {values[name]}: it must be above 0")
    for name in ("descriptor.channels", "descriptor.kernels", "descriptor.strides",
                 "generator.channels", "generator.kernels", "critic.channels",
                 "critic.kernels", "critic.strides"):  # fmt: skip
        if not values[name] or min(values[name]) < 1:
            raise CoopNetsError(f"{_flag(name)} must be numbers of at least 1")
    if config.ema >= 1:
        raise CoopNetsError(f"--ema is {config.ema}: it must be below 1")
    if (config.langevin.damping or 0) > 1:
        raise CoopNetsError(
            f"--langevin.damping is {config.langevin.damping}: it must be at most 1, where all "
            "steps are equal"
        )
    if config.image_channels not in (1, 3):
        raise CoopNetsError("--image-channels must be 1 (grey) or 3 (colour)")
    if config.teaching and not config.memory:
        raise CoopNetsError("--teaching needs remembered pairs: set --memory, for instance 10")
    _validate_clips(config)
    _validate_map(config)
    _validate_observed(config)
    if config.capture and config.langevin.tau_until and config.langevin.tau_decay == "linear":
        raise CoopNetsError(
            "--capture records one noise scale: with --langevin.tau-until choose "
            "--langevin.tau-decay step"
        )
    _validate_method(config)


def _validate_clips(config: Config) -> None:
    """What is of clips alone, or of images alone."""
    if not config.frames:
        if config.fps is not None:
            raise CoopNetsError("--fps is of clips: add --frames, or choose a preset of clips")
        return
    if config.method not in ("coopnets", "descriptor"):
        raise CoopNetsError(f"the method {config.method} knows images alone: leave out --frames")
    if config.frames == 1:
        raise CoopNetsError("--frames is 1: a clip has at least 2, and images have --frames 0")
    for name in ("descriptor_optimizer", "generator_optimizer"):
        settings = getattr(config, name)
        if settings.per_position or settings.layer_rates is not None:
            raise CoopNetsError(
                f"{_flag(name)}.per-position and .layer-rates know networks of pictures alone"
            )
    if config.method == "descriptor" and config.chain.start == "persistent":
        most = BUFFER_BYTES // (2 * math.prod(image_shape(config)))  # in half precision
        if config.chain.buffer > most:
            raise CoopNetsError(
                f"--chain.buffer {config.chain.buffer} of these clips takes more than "
                f"{BUFFER_BYTES / 1e9:.0f} GB: choose at most {most}"
            )


def _validate_map(config: Config) -> None:
    """Pictures of any size need both networks for it, and a method that asks no latent vector."""
    growing = config.generator.start == "map" and not config.frames
    if growing and config.method in ("vae", "generator"):
        raise CoopNetsError(
            f"the method {config.method} infers latent vectors: set --generator.start vector"
        )
    if growing and config.method == "coopnets" and config.descriptor.top == "dense":
        raise CoopNetsError(
            "a latent map makes pictures of any size, a dense top knows one: set --descriptor.top "
            "map, or --generator.start vector"
        )
    layers = {len(config.descriptor.kernels), len(config.descriptor.strides)}
    if growing and config.method in ("coopnets", "descriptor") and len(layers) == 1:
        seen = receptive_field(config.descriptor)
        if config.size < seen:
            raise CoopNetsError(
                f"--size {config.size} is smaller than the {seen} pixels that a number of the "
                "descriptor's last map looks at: raise it, or take smaller --descriptor.kernels"
            )


def _validate_observed(config: Config) -> None:
    """An encoder has settings only where there is one, and needs a batch for its statistics."""
    usual, method = Config(), config.method
    if method != "coopnets":
        return
    if not config.observed.weight:
        for name in ("observed", "encoder_optimizer"):
            if getattr(config, name) != getattr(usual, name):
                raise CoopNetsError(
                    f"{_flag(name)}.* is of an encoder, and there is none: add --observed.weight 1"
                )
        return
    if not math.isfinite(config.observed.weight):
        raise CoopNetsError("--observed.weight must be finite")
    if config.encoder_optimizer.per_position:
        raise CoopNetsError("--encoder-optimizer.per-position: only the other networks know it")
    one = config.batch_size == 1 and config.generator.norm == "batch"
    if one and not config.frames and config.generator.start == "vector":
        raise CoopNetsError(
            "--observed.weight with --batch-size 1: a single image has no batch statistics; raise "
            "--batch-size, or add --generator.norm none"
        )


def _validate_method(config: Config) -> None:
    """What only one of the methods has to fear."""
    if config.method == "generator" and config.flip:
        raise CoopNetsError(
            "the method generator keeps a latent vector for each image, which its mirror image "
            "has not: leave out --flip"
        )
    if config.method == "wgan" and config.wgan.gradient_penalty and config.critic.norm == "batch":
        raise CoopNetsError(
            "--wgan.gradient-penalty is a matter of each image alone: add --critic.norm none"
        )
    if config.method != "descriptor" or config.chain.start == "noise":
        return
    if config.chain.restart > 1:
        raise CoopNetsError(f"--chain.restart is {config.chain.restart}: it must be at most 1")
    if config.chain.buffer < config.chains:
        raise CoopNetsError("--chain.buffer must be at least --chains")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
