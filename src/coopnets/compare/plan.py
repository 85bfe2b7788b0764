"""What is compared: which methods, for how long, on how many samples."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coopnets.concern import concerns
from coopnets.config import SAMPLED_BY, Config, flatten
from coopnets.errors import CoopNetsError
from coopnets.evaluate import SMALLEST
from coopnets.methods import recipe
from coopnets.prepare import whole_pictures
from coopnets.validate import validate

ROWS: dict[tuple[str, str], str] = {
    ("wgan", "generator"): "W-GAN",
    ("dcgan", "generator"): "DCGAN",
    ("vae", "generator"): "VAE",
    ("generator", "generator"): "generator alone",
    ("descriptor", "descriptor"): "descriptor alone",
    ("coopnets", "generator"): "CoopNets generator",
    ("coopnets", "descriptor"): "CoopNets descriptor",
}
"""Rows of the table by method and source of samples, in the order of the published table; the
two halves of the method, which that table has not, stand above it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison.

    Attributes:
        methods: what is trained, by name.
        config: the preset's settings, which each method's recipe is applied to. Its seed is that
            of training and of samples.
        max_time: seconds of training for each.
        moments: equally spaced times of training at which samples are scored.
        samples: how many are scored at the end.
        curve_samples: how many are scored at each moment.
        checkpoint_every: iterations between checkpoints.
    """

    methods: tuple[str, ...]
    config: Config
    max_time: float
    moments: int = 6
    samples: int = 10_000
    curve_samples: int = 2_000
    checkpoint_every: int = 200

    def times(self) -> list[float]:
        """Seconds of training at each moment; the last one is the end."""
        return [self.max_time * (i + 1) / self.moments for i in range(self.moments)]

    def settings_of(self, method: str) -> Config:
        """What a method is trained with: its recipe on the common settings."""
        return recipe(self.config, method)

    def rows(self) -> list[tuple[str, str, str]]:
        """(name, method, source of samples) of each row of the table."""
        return [(name, *key) for key, name in ROWS.items() if key[0] in self.methods]

    def told(self) -> dict[str, Any]:
        """Everything but the settings of the networks, ready for JSON."""
        told = asdict(self)
        del told["config"]
        return {**told, "methods": list(self.methods), "preset": self.config.preset,
                "seed": self.config.seed}  # fmt: skip


def methods_in(text: str) -> tuple[str, ...]:
    """The methods in ``coopnets,dcgan,vae``.

    Raises:
        CoopNetsError: one is unknown, or there is none.
    """
    named = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for name in named:
        if name not in SAMPLED_BY:
            raise CoopNetsError(
                f"--methods: there is no method {name!r}: choose among {', '.join(SAMPLED_BY)}"
            )
    if not named:
        raise CoopNetsError("--methods names none: write coopnets,dcgan,wgan,vae")
    return named


def check(plan: Plan, preset: Config) -> None:
    """Pass a plan that can be carried out.

    Args:
        plan: what is asked for.
        preset: the preset without changes.

    Raises:
        CoopNetsError: a number is impossible, or a changed setting has no effect.
    """
    if not plan.max_time > 0:
        raise CoopNetsError("--max-time must be above 0")
    for name in ("moments", "checkpoint_every"):
        if getattr(plan, name) < 1:
            raise CoopNetsError(f"--{name.replace('_', '-')} must be at least 1")
    for name in ("samples", "curve_samples"):
        if getattr(plan, name) < SMALLEST:
            raise CoopNetsError(f"--{name.replace('_', '-')} must be at least {SMALLEST}")
    whole_pictures(plan.config)
    for method in plan.methods:
        validate(plan.settings_of(method))
    if idle := _without_effect(plan, preset):
        raise CoopNetsError(
            f"--{idle[0].replace('_', '-')} changes nothing here: each method compared has its "
            "own published value, or no use for it"
        )


def _without_effect(plan: Plan, preset: Config) -> Sequence[str]:
    """Settings that were changed, and that no method uses as they are."""
    usual, asked = dict(flatten(preset)), dict(flatten(plan.config))
    changed = {name for name in asked if asked[name] != usual[name]}
    felt: set[str] = set()
    for method in plan.methods:
        with_, without = (dict(flatten(recipe(c, method))) for c in (plan.config, preset))
        felt |= {n for n in changed if concerns(n, method) and with_[n] != without[n]}
    return sorted(changed - felt)
