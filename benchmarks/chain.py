"""The Langevin chain: ours, the naive loop, TorchEBM's sampler, and the processor's limit.

Networks of presets, batches of 1, 16 and 100, fp32 and, where the hardware has it, bf16. The
others compute in fp32 always, as they do by themselves, on the same function in plain PyTorch
layers; TorchEBM is also shown on our layers, which tells what the layers gain and what the loop.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from benchmarks import rivals
from benchmarks.command import Options, command
from benchmarks.limit import best_rate
from benchmarks.networks import (
    batches_of,
    convolution_flops,
    descriptor,
    distinct,
    images,
    plain,
)
from benchmarks.result import Column, Result, Row, aim_holds
from benchmarks.timing import Times, interleave
from coopnets.config import Config
from coopnets.layout import arrange, measure
from coopnets.precision import resolve

SMALL = ("digits", "demo")
"""Presets whose network is small: overhead shows."""
COLUMNS = [
    Column("network", "network"),
    Column("batch", "batch", "d"),
    Column("precision", "ours in"),
    Column("layout", "layout"),
    Column("ours", "ours", ".2f", "ours_median"),
    Column("naive", "naive", ".2f", "naive_median"),
    Column("torchebm", "TorchEBM", ".2f", "torchebm_median"),
    Column("limit", "limit", ".2f"),
    Column("over_naive", "x naive", ".2f"),
    Column("over_torchebm", "x TorchEBM", ".2f"),
    Column("over_torchebm_layers", "x TorchEBM on our layers", ".2f"),
    Column("of_limit", "of the limit", ".0%"),
]


@dataclass(kw_only=True)
class ChainOptions(Options):
    """Time the Langevin chain against others' and against the processor's limit."""

    presets: tuple[str, ...] = ("own",)
    """Presets whose networks to measure; own and all stand for many."""
    batches: tuple[int, ...] = (1, 16, 100)
    """Numbers of chains."""
    precisions: tuple[Literal["fp32", "bf16"], ...] | None = None
    """Arithmetic of ours; by default fp32, and bf16 where the hardware has it."""
    steps: int | None = None
    """L; by default that of the preset."""
    without_torchebm: bool = False
    """Leave TorchEBM out."""


def run(options: ChainOptions) -> Result:
    """Measure all rows."""
    device = torch.device(options.device)
    default = resolve("auto", device)
    precisions = options.precisions or tuple(dict.fromkeys(("fp32", default)))
    presets, batches = options.presets, options.batches
    if options.quick:
        presets, batches = ("demo",), (1, 2)
    networks = distinct(presets)
    rates = {p: best_rate(p, device, options.rounds(), options.quick) for p in precisions}
    rows = []
    for name, config in networks.items():
        for batch in batches_of(config, batches):
            rows += measured(name, config, batch, precisions, options, device)
    for p in precisions:  # and once more: the clock may have risen since
        rates[p] = max(rates[p], best_rate(p, device, options.rounds(), options.quick))
    for row in rows:
        finish(row, default, rates[row["precision"]][0])
    notes = [
        f"The limit of {p}: {rate / 1e9:.0f} GFLOP/s, reached by a {what}."
        for p, (rate, what) in rates.items()
    ]
    notes.append(
        "Milliseconds a step: minimum, and median in brackets, over the rounds. The default "
        f"precision here is {default}. The others compute in fp32. One step of each was found "
        "equal before anything was timed."
    )
    return Result(
        title="Langevin chain, ms a step", columns=COLUMNS, rows=rows, notes=[*notes, *held(rows)]
    )


def measured(
    name: str,
    config: Config,
    batch: int,
    precisions: Sequence[str],
    options: ChainOptions,
    device: torch.device,
) -> list[Row]:
    """One row for each precision; everything interleaved."""
    steps = options.steps or (2 if options.quick else config.langevin.steps)
    config = replace(config, langevin=replace(config.langevin, tau=1.0))
    x = images(config, batch, device)
    f = descriptor(config, device)
    usual = plain(config, f)
    chains = {"naive": rivals.naive(usual, config.langevin)}
    layouts = {}
    for p in precisions:
        layouts[p] = measure(replace(config, precision=p, chains=batch), device)  # type: ignore[arg-type]
        mine = descriptor(config, device)
        arrange(mine, layouts[p])
        chains[f"ours {p}"] = rivals.ours(mine, config.langevin, p)
    if not options.without_torchebm and rivals.has_torchebm():
        chains["torchebm"] = rivals.torchebm(usual, config.langevin)
        arrange(f, layouts[precisions[0]])
        chains["torchebm_layers"] = rivals.torchebm(f, config.langevin)
    arithmetic = {f"ours {p}": p for p in precisions}
    tolerance = rivals.CLIPS if config.frames else rivals.TOLERANCE
    rivals.assert_same_step(chains, "naive", x, arithmetic, tolerance)
    times = interleave(
        {who: _work(chain, x, steps) for who, chain in chains.items()}, options.rounds(), device
    )
    flops = 2 * batch * convolution_flops(config, f)  # forwards, and the input gradient
    rows = []
    for p in precisions:
        row: Row = {
            "network": name, "batch": batch, "precision": p, "layout": layouts[p],
            "steps": steps, "flops": flops, "rounds": len(times["naive"].seconds),
        }  # fmt: skip
        for who, key in ((f"ours {p}", "ours"), *((k, k) for k in times if "ours" not in k)):
            row |= _in_ms(key, times[who], steps)
        rows.append(row)
    return rows


def finish(row: Row, default: str, rate: float) -> None:
    """Add the limit, the ratios and the aims to a row of times."""
    row["limit"] = row["flops"] / rate * 1e3
    row["of_limit"] = row["limit"] / row["ours"]
    for other in ("naive", "torchebm", "torchebm_layers"):
        row[f"over_{other}"] = row[other] / row["ours"] if other in row else None
    least: dict[str, float] = {}
    if row["precision"] == "fp32":
        small = row["batch"] == 1 and any(p in SMALL for p in row["network"].split(", "))
        least["over_torchebm"] = 1.4 if small else 1.0
    if row["precision"] == default and row["batch"] >= 16:
        least["over_torchebm"], least["over_naive"] = 1.8, 2.5
    if row["batch"] == 100:
        least["of_limit"] = 0.7
    row["least"] = {key: value for key, value in least.items() if row[key] is not None}


def held(rows: list[Row]) -> list[str]:
    """How many of the aims of each kind were reached."""
    counts: dict[tuple[str, float], list[bool]] = {}
    for row in rows:
        for key, least in row["least"].items():
            counts.setdefault((key, least), []).append(bool(aim_holds(row, key)))
    heading = {column.key: column.heading for column in COLUMNS}
    return [
        f"Aim {heading[key]} at least {least:g}: reached in {sum(hits)} of {len(hits)} rows."
        for (key, least), hits in counts.items()
    ]


def _work(chain: rivals.Chain, x: Tensor, steps: int) -> Callable[[], Tensor]:
    generator = torch.Generator(x.device).manual_seed(0)
    return lambda: chain(x, steps, generator)


def _in_ms(key: str, times: Times, steps: int) -> Row:
    scale = 1e3 / steps
    return {key: times.minimum * scale, f"{key}_median": times.median * scale}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command("chain", ChainOptions, run, argv)


if __name__ == "__main__":
    sys.exit(main())
