"""A training iteration: ours against the published PyTorch port's way of doing it.

The same networks, chains, steps and batch, from the same weights on the same images. The last
line is how many times faster ours is. The port knows no clips: of a preset of clips ours alone is
timed, all that its training does, and the last line is the chain's share of it.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from benchmarks import rivals
from benchmarks.command import Options, command
from benchmarks.networks import descriptor, images, plain
from benchmarks.port import Port
from benchmarks.result import Column, Result, Row
from benchmarks.timing import Times, interleave
from coopnets.config import Config, Precision
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError
from coopnets.layout import resolve_layout
from coopnets.models import Descriptor, Generator
from coopnets.precision import resolve
from coopnets.presets import preset
from coopnets.processes import Processes

LAPS = {"g0": "G0", "d1": "D1", "d2": "D2", "g2": "G2"}
COLUMNS = [
    Column("way", "way"),
    Column("precision", "in"),
    Column("layout", "layout"),
    Column("whole", "iteration, ms", ".0f", "whole_median"),
    Column("rate", "images/s", ".1f"),
    *(Column(key, f"{name}, ms", ".0f") for key, name in LAPS.items()),
    Column("over_port", "x the port's way", ".2f"),
]
OF_CLIPS = [
    *(replace(c, heading="clips/s") if c.key == "rate" else c for c in COLUMNS[:-1]),
    Column("share", "D1 of it", ".0%"),
]
USUAL = (100, 100, 10)
"""Chains, images and steps where nothing else is said."""


@dataclass(kw_only=True)
class IterationOptions(Options):
    """Time a training iteration against the published port's way."""

    preset: str = "pt-cifar"
    """Settings; what the port does not know is switched off."""
    chains: int | None = None
    """Langevin chains of an iteration; by default 100, and of clips those of the preset."""
    batch_size: int | None = None
    """Observed images of an iteration; by default 100, and of clips those of the preset."""
    steps: int | None = None
    """L; by default 10, and of clips that of the preset."""
    noise: bool = False
    """Langevin noise, which the port leaves out unless asked; clips have that of the preset."""
    seconds: float = 30.0
    """Least time of all iterations together."""


def settings(options: IterationOptions) -> Config:
    """The preset, learning next to nothing; of images with what both ways have in common alone.

    How fast it learns does not change how long it takes, but what runs away would stop it.
    """
    c = preset(options.preset)
    usual = (c.chains, c.batch_size, c.langevin.steps) if c.frames else USUAL
    given = (options.chains, options.batch_size, options.steps)
    chains, batch, steps = (a if a is not None else b for a, b in zip(given, usual, strict=True))
    if options.quick:
        chains, batch, steps = (2, 2, 2) if c.frames else (4, 4, 2)
    both = ("descriptor_optimizer", "generator_optimizer")
    c = replace(
        c, chains=chains, batch_size=batch, langevin=replace(c.langevin, steps=steps),
        **{name: replace(getattr(c, name), lr=1e-6) for name in both},
    )  # fmt: skip
    if c.frames:
        return replace(c, size=16, frames=32) if options.quick else c
    if any(getattr(c, name).kind != "adam" for name in both):
        raise CoopNetsError(f"the preset {options.preset} is not trained by Adam, as the port is")
    return replace(
        c, memory=0, teaching=0, ema=0.0, data_noise=0.0,
        langevin=replace(c.langevin, tau=float(options.noise), drift_clip=None, damping=None),
        **{name: replace(getattr(c, name), clip=None, cap=None) for name in both},
    )  # fmt: skip


def run(options: IterationOptions) -> Result:
    """Measure both ways, and ours in fp32 too where the default is bf16."""
    device = torch.device(options.device)
    config, processes = settings(options), Processes(device)
    x = images(config, config.batch_size, device)
    learners = {}
    default = resolve("auto", device)
    for precision in dict.fromkeys((default, "fp32")):
        c = replace(config, precision=cast(Precision, precision))
        c = replace(c, layout=resolve_layout(c, processes))
        learners[f"ours {precision}"] = Cooperation(c, processes)
    first = next(iter(learners.values()))
    start = descriptor(config, device).state_dict()
    for learner in learners.values():
        learner.f.load_state_dict(start)
        learner.g.load_state_dict(first.g.state_dict())
    port = None
    if config.frames:
        assert_same_chain(learners, x)
    else:
        port = Port(config, cast(Descriptor, first.f), cast(Generator, first.g))
        assert_same(learners, port, x)

    laps: dict[str, list[dict[str, float]]] = {}
    cases = {who: _ours(learner, x, laps.setdefault(who, [])) for who, learner in learners.items()}
    if port is not None:
        cases["the port's way"] = _ports(port, x, laps.setdefault("the port's way", []))
    times = interleave(cases, options.rounds(), device)
    rows = [row(who, times[who], laps[who], config.batch_size) for who in cases]
    for r, learner in zip(rows, learners.values(), strict=False):
        r |= {"precision": learner.config.precision, "layout": learner.config.layout}
        if port is not None:
            r["over_port"] = rows[-1]["whole"] / r["whole"]
    noise = "on" if config.langevin.tau else "off"
    about = (
        f"Preset {options.preset}, {config.chains} chains, batch {config.batch_size}, "
        f"L = {config.langevin.steps}, noise {noise}. Iterations: minimum, and median in "
        "brackets; the rate and the steps: medians."
    )
    if port is None:
        compared = "One Langevin step of each was found equal to that of plain layers first."
        last = f"The chains (D1) take {rows[0]['share']:.0%} of an iteration"
    else:
        compared = "One Langevin step, and the descriptor's gradient, were found equal first."
        last = f"{rows[0]['over_port']:.2f} times the published port's way (at least 3 is the aim)"
        rows[0]["least"] = {"over_port": 3.0}
        rows[-1] |= {"precision": "fp32", "layout": "contiguous"}
    return Result(
        title="Training iteration", columns=COLUMNS if port else OF_CLIPS, rows=rows,
        notes=[f"{about} {compared}", last],
    )  # fmt: skip


def assert_same_chain(learners: dict[str, Cooperation], x: Tensor) -> None:
    """One Langevin step of each, and of the same function in plain layers.

    Raises:
        CoopNetsError: they differ; nothing must be timed.
    """
    first = next(iter(learners.values()))
    c, arithmetic = first.config, {who: str(v.config.precision) for who, v in learners.items()}
    chains = {who: rivals.ours(v.f, c.langevin, arithmetic[who]) for who, v in learners.items()}
    chains["plain layers"] = rivals.naive(plain(c, first.f), c.langevin)
    rivals.assert_same_step(chains, "plain layers", x, arithmetic, rivals.CLIPS)


def assert_same(learners: dict[str, Cooperation], port: Port, x: Tensor) -> None:
    """One Langevin step, and the descriptor's gradient between data and revisions.

    Raises:
        CoopNetsError: they differ; nothing must be timed.
    """
    chains: dict[str, rivals.Chain] = {"the port's way": port.revise}
    for who, learner in learners.items():
        c = learner.config
        chains[who] = rivals.ours(cast(Descriptor, learner.f), c.langevin, c.precision)
    arithmetic = {who: str(learner.config.precision) for who, learner in learners.items()}
    rivals.assert_same_step(chains, "the port's way", x, arithmetic)
    other = x.flip(0).mul(0.5)
    weights = list(port.f.parameters())
    theirs = torch.autograd.grad(port.f(other).mean() - port.f(x).mean(), weights)
    for who, learner in learners.items():
        loss, _, _ = learner.descriptor_loss(x, other)
        mine = torch.autograd.grad(loss, list(learner.f.parameters()))
        off = sum(float((a - b).square().sum()) for a, b in zip(mine, theirs, strict=True))
        size = sum(float(b.square().sum()) for b in theirs)
        if not (off / size) ** 0.5 <= rivals.TOLERANCE[learner.config.precision]:
            raise CoopNetsError(
                f"the descriptor's gradient of {who} is not that of the port's way, so nothing "
                "was timed"
            )


def row(who: str, times: Times, laps: list[dict[str, float]], images: int) -> Row:
    """Times of one way; of the laps, those of the timed iterations count."""
    timed = laps[-len(times.seconds) :]
    steps = {key: statistics.median(lap[f"seconds_{key}"] for lap in timed) * 1e3 for key in LAPS}
    return {
        "way": who.split()[0] if who.startswith("ours") else who,
        "whole": times.minimum * 1e3, "whole_median": times.median * 1e3,
        "rate": images / times.median, "rounds": len(times.seconds), **steps,
        "share": steps["d1"] / 1e3 / times.median,
    }  # fmt: skip


def _ours(learner: Cooperation, x: Tensor, laps: list[dict[str, float]]) -> Callable[[], None]:
    def work() -> None:
        laps.append(learner.iterate(x, len(laps)).metrics)

    return work


def _ports(port: Port, x: Tensor, laps: list[dict[str, float]]) -> Callable[[], None]:
    generator = torch.Generator(x.device).manual_seed(0)
    return lambda: laps.append(port.iterate(x, generator))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command("iteration", IterationOptions, run, argv)


if __name__ == "__main__":
    sys.exit(main())
