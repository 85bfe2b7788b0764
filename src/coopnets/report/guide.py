"""What a reader of a report needs to know of the method at hand."""

from dataclasses import dataclass

from coopnets.report import explain, explain_methods, health, health_methods
from coopnets.report.explain import Curve
from coopnets.report.health import Rule


@dataclass(frozen=True)
class Guide:
    """How to read the report of a method.

    Attributes:
        curves: pictures of the log, in the order of their importance.
        rules: of health.
        remedy: what to change before a longer run if this one diverged.
        samples: what the samples' panel of a grid shows.
        pictures: how to read the grids over time.
    """

    curves: tuple[Curve, ...]
    rules: tuple[Rule, ...]
    remedy: str
    samples: str
    pictures: str


_SAME_Z = "Samples from the same latent vectors each time."

GUIDES = {
    "coopnets": Guide(
        explain.CURVES,
        health.RULES,
        health.REMEDY,
        "",
        "Proposed and revised from the same latent vectors each time. The two grow alike while "
        "the generator learns. Noise in the pictures announces a blow-up an epoch or two ahead; "
        "square artefacts that stay come from too small a descriptor rate.",
    ),
    "dcgan": Guide(
        explain_methods.DCGAN,
        health_methods.DCGAN,
        "lower `--critic-optimizer.lr` and `--generator-optimizer.lr`",
        "g(z), z ~ N(0, I)",
        f"{_SAME_Z} Many that look alike mean that the generator serves a few modes only.",
    ),
    "wgan": Guide(
        explain_methods.WGAN,
        health_methods.WGAN,
        "lower `--critic-optimizer.lr` and `--generator-optimizer.lr`",
        "g(z), z ~ N(0, I)",
        f"{_SAME_Z} They get better as long as the distance falls.",
    ),
    "vae": Guide(
        explain_methods.VAE,
        health_methods.VAE,
        "lower `--generator-optimizer.lr`",
        "g(z), z ~ N(0, I), without the residual",
        f"{_SAME_Z} Soft outlines are the method's: g(z) is a mean over what z leaves open.",
    ),
    "generator": Guide(
        explain_methods.GENERATOR,
        health_methods.GENERATOR,
        "lower `--posterior.delta` or `--generator-optimizer.lr`",
        "g(z), z ~ N(0, I), without the residual",
        f"{_SAME_Z} Samples that stay worse than the small error promises mean that inferred z "
        "are not spread like N(0, I).",
    ),
    "descriptor": Guide(
        explain_methods.DESCRIPTOR,
        health_methods.DESCRIPTOR,
        "lower `--langevin.delta` or `--descriptor-optimizer.lr`, or try "
        "`--descriptor-optimizer.clip`",
        "ends of chains that start at uniform noise",
        "Chains from the same noise each time. Grain is what the steps add; saturated patches "
        "announce a blow-up.",
    ),
}


def guide(method: str) -> Guide:
    """The guide of a method; that of cooperative learning for one unknown here."""
    return GUIDES.get(method, GUIDES["coopnets"])
