"""Which settings a method uses: what the others say makes no difference to its run."""

from coopnets.config import SAMPLED_BY

_BOTH = frozenset({"coopnets", "descriptor"})
_LATENT = frozenset(SAMPLED_BY) - {"descriptor"}
CONCERNED: dict[str, frozenset[str]] = {
    "descriptor": _BOTH,
    "descriptor_optimizer": _BOTH,
    "langevin": _BOTH,
    "data_noise": _BOTH,
    "chains": _BOTH,
    "capture": _BOTH,
    "generator": _LATENT,
    "generator_optimizer": _LATENT,
    "critic": frozenset({"dcgan", "wgan"}),
    "critic_optimizer": frozenset({"dcgan", "wgan"}),
    "wgan": frozenset({"wgan"}),
    "vae": frozenset({"vae"}),
    "chain": frozenset({"descriptor"}),
    "flip": frozenset(SAMPLED_BY) - {"generator"},
    "posterior": frozenset({"coopnets", "generator"}),
    "sigma": frozenset({"coopnets", "vae", "generator"}),
    "memory": frozenset({"coopnets"}),
    "teaching": frozenset({"coopnets"}),
    "energy_l2": frozenset({"coopnets"}),
    "lead": frozenset({"coopnets"}),
    "slope_on": frozenset({"coopnets"}),
    "slope_weight": frozenset({"coopnets"}),
    "observed": frozenset({"coopnets"}),
    "encoder_optimizer": frozenset({"coopnets"}),
}
"""Settings, and parts of the settings, that only some methods use."""


def concerns(name: str, method: str) -> bool:
    """Whether a method uses the setting of that name, such as ``langevin.delta``."""
    methods = CONCERNED.get(name.partition(".")[0])
    return methods is None or method in methods or method not in SAMPLED_BY
