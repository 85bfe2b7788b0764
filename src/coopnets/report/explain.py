"""The curves of a report of cooperative learning, and what each of them tells.

``{unit}`` stands for the value of dim(x)/s² in the run at hand. The curves of the other methods
are in :mod:`coopnets.report.explain_methods`.
"""

from dataclasses import dataclass, replace
from typing import Literal

Scale = Literal["linear", "log", "auto", "shares"]


@dataclass(frozen=True)
class Curve:
    """One picture of the log: which numbers, how drawn, and how to read it.

    Attributes:
        title: what is drawn.
        lines: key of the log to legend; those the log lacks are left out.
        scale: of the value axis; ``auto`` is logarithmic where positive values span much.
        what: what the numbers are, in the terms of the paper.
        healthy: what they look like when all is well.
        otherwise: what a deviation means, and what to change.
        mark: a value to compare with, drawn as a dotted line.
    """

    title: str
    lines: dict[str, str]
    scale: Scale
    what: str
    healthy: str
    otherwise: str
    mark: float | None = None


GAP = "gap"
"""|f(data) - f(revised)| in units of dim(x)/s^2, computed from the log."""

REST = "seconds_rest"
"""What the steps leave of an iteration's time, computed from the log."""

SPEED = Curve(
    "Speed",
    {"images_per_second": "observed images a second"},
    "linear",
    "Observed images used a second: those of an iteration over its time.",
    "Flat. A slow first line is normal, kernels are being chosen and caches filled.",
    "A step down means that something else uses the machine, or that it throttles.",
)


def shares(steps: dict[str, str], what: str, healthy: str = "", otherwise: str = "") -> Curve:
    """The curve of where an iteration's time goes: ``steps`` are keys of the log to legend."""
    lines = {**steps, REST: "the rest"}
    return Curve("Where an iteration goes", lines, "shares", what, healthy, otherwise)


CURVES = (
    Curve(
        "f of data and of revisions",
        {"f_data": "f(data)", "f_revised": "f(revised)"},
        "auto",
        "Mean of the descriptor f(x; θ) over observed images and over the revised x̃. The "
        "descriptor's learning gradient is the difference of the two.",
        "Both run close together. Their common level is large and may wander: f must balance "
        "|x|²/s², here of the order of dim(x)/s² = {unit}. With s = 0.016, values of 10⁶ to "
        "10⁸ are normal.",
        "If the two part for good, the descriptor tells data from revisions too easily: lower "
        "`--descriptor-optimizer.lr`. A level that explodes comes before a blow-up; it is caused "
        "by a high rate, a large `--langevin.delta`, many `--langevin.steps` or a small "
        "`--langevin.s`.",
    ),
    Curve(
        "Gap between them",
        {GAP: "|f(data) − f(revised)| in units of dim(x)/s²"},
        "log",
        "The distance of the two curves above on the scale that matters, dim(x)/s² = {unit}: "
        "how far the model is from matching the statistics of the data.",
        "Falls below 0.05 (dotted) and stays small. It fluctuates a lot from batch to batch.",
        "Growing without bound: the descriptor is too strong, lower `--descriptor-optimizer.lr`. "
        "Very uneven: use more `--chains`, more chains are always better. The descriptor wants a "
        "larger rate than the generator, but one that is too small leaves square artefacts in the "
        "pictures that never go.",
        0.05,
    ),
    Curve(
        "Energies of data, proposals and revisions",
        {"u_data": "U(x), data", "u_proposed": "U(x̂), proposed", "u_revised": "U(x̃), revised"},
        "auto",
        "U(x) = |x|²/(2s²) − f(x) of the observed images, of the generator's proposals, and of "
        "what the Langevin steps made of them. Low energy is high probability under the "
        "descriptor.",
        "The revisions lie below the proposals and near the data. The distance shrinks as the "
        "generator learns to propose what the descriptor would have made of it.",
        "Revisions above proposals: the steps overshoot, lower `--langevin.delta`. The distance "
        "keeps growing: the generator falls behind, raise `--teaching` or "
        "`--generator-optimizer.lr`.",
    ),
    Curve(
        "Displacement",
        {"displacement": "rms |x̃ − x̂| for a pixel"},
        "log",
        "How far a revision moves a pixel: the root mean square distance of x̃ from x̂, on a "
        "scale where black is −1 and white is 1.",
        "Starts at about 0.1 to 0.3 and falls to a few hundredths, slowly, while the generator "
        "catches up with the descriptor.",
        "A sudden fall does not mean success: the pictures got worse, look at the grids there. "
        "Rising towards 1 is a blow-up: lower `--descriptor-optimizer.lr` or "
        "`--langevin.delta`. Too large a delta also distorts objects, and too many "
        "`--langevin.steps` leave salt-and-pepper noise.",
    ),
    Curve(
        "Drift and noise in a Langevin step",
        {"drift": "drift", "noise": "noise"},
        "log",
        "Size of the two parts of one step relative to x: the drift δ²/2 · (∂f/∂x − x/s²) and "
        "the noise τδ e, each as root mean square, averaged over the L steps.",
        "The drift settles near 1/100 of x (dotted). The noise is flat, since δ and τ set it.",
        "A drift well above 1/100 leads to noisy pictures and, an epoch or two later, to a "
        "blow-up: lower `--langevin.delta` or `--descriptor-optimizer.lr`. A drift below the "
        "noise hardly revises: raise them, or lower `--langevin.tau`.",
        0.01,
    ),
    Curve(
        "Generator error",
        {"generator_error": "mean |x̃ − g(z)|² / (2σ²)"},
        "log",
        "What the generator learns to lower: the squared distance between the revised x̃ and what "
        "it now makes of the same z, summed over pixels.",
        "Falls along with the displacement, quickly at first and then slowly, with ripples.",
        "A sudden fall means that the revision became weak, not that the generator became good. "
        "Flat and high: raise `--teaching` (with `--memory`) or `--generator-optimizer.lr`, "
        "keeping it well below the descriptor's rate.",
    ),
    Curve(
        "Observed examples made again",
        {"observed_residual": "rms |x − g(z)| for a pixel, z ~ q(z|x)"},
        "log",
        "With `--observed.weight`: what the generator misses of an observed x when it is given "
        "the encoder's guess of z, root mean square on a scale where black is −1 and white is 1.",
        "Falls for as long as the training lasts, quickly and then slowly.",
        "Flat and high: raise `--observed.weight` or `--encoder-optimizer.lr`, or give the "
        "generator more `--generator.latent` numbers.",
    ),
    Curve(
        "What the encoder tells",
        {"observed_kl": "KL(q(z|x) | N(0, I)), nats"},
        "auto",
        "With `--observed.weight`: how much the encoder's guess tells about an observed x, its "
        "divergence from the prior.",
        "Rises from 0 as the encoder finds words for the pictures, and settles.",
        "Stays near 0: the generator ignores z, lower `--observed.kl-weight`. Keeps growing: "
        "guesses lie where no sample is ever drawn, raise `--observed.kl-weight`.",
    ),
    Curve(
        "Iterations in which the descriptor was ahead",
        {"ahead": "share of iterations"},
        "linear",
        "With `--lead`: how often f told data from revisions by more than it may, so that step D2 "
        "lowered its slope as well.",
        "Large at first, then small where revisions reach the data. Near 1 where they cannot, as "
        "with a very regular texture.",
        "Near 1 with poor pictures: give the generator more `--teaching` or channels, or more "
        "time; with few examples try `--lead 0.0003 --slope-on line --slope-weight 2`, and where "
        "the preset has that already a larger weight.",
    ),
    replace(
        SPEED,
        otherwise=SPEED.otherwise + " Speed grows with fewer `--langevin.steps`, and with smaller "
        "`--descriptor.channels`.",
    ),
    shares(
        {
            "seconds_d1": "D1 revise (Langevin)",
            "seconds_d2": "D2 descriptor",
            "seconds_g2": "G2 generator",
            "seconds_g0": "G0 propose",
            "seconds_g1": "G1 infer z",
        },
        "Share of an iteration's time in each step of the algorithm: the generator proposes (G0), "
        "Langevin revises (D1), z is inferred (G1, if on), and the networks learn (D2, G2).",
        "D1 is the largest part: L Langevin steps take L passes through the descriptor, forwards "
        "and backwards.",
        "A large rest means that data arrive late; pictures and checkpoints are not counted. "
        "While D1 dominates, further `--teaching` costs little. On "
        "an accelerator steps overlap, and only the sum is exact.",
    ),
)

NOT_CURVES = {"iteration", "seconds", "seconds_all", "langevin_share"}
"""Keys that other curves or the head of the page show."""


def other(key: str) -> Curve:
    """A curve for a number that this module does not know."""
    title = key.replace("_", " ")
    return Curve(title[:1].upper() + title[1:], {key: key}, "auto", f"`{key}` of the log.", "", "")
