"""Makes the tables of the experiments, one command each.

    python experiments/make.py digits
    python experiments/make.py cifar10
    python experiments/make.py celeba
    python experiments/make.py lsun-bedroom

runs `coopnets compare` as the experiment says and writes its table into the README beside it.
Options that are not known here go to `coopnets compare` and win over those of the experiment, for
instance `--max-time 20m` or `--device cpu`.

    python experiments/make.py cifar10 --official FILE

scores the networks that this has trained once more, by the official FID with 50,000 samples; FILE
holds the Inception weights.

    python experiments/make.py cifar10 --table runs/cifar10/table.json

only writes a table that is there into the README.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopnets.cli import main as coopnets
from coopnets.compare.table import facts_of, markdown_table, notes_of, tables

HERE = Path(__file__).parent
METHODS = "coopnets,dcgan,wgan,vae,descriptor,generator"
COMMON = ["--methods", METHODS, "--samples", "10000", "--features", "efficientnet-lite0"]


@dataclass(frozen=True)
class Experiment:
    """What `coopnets compare` is given, and what for the official FID."""

    folder: str
    data: str
    options: tuple[str, ...]
    official: tuple[str, ...] = ()


EXPERIMENTS = {
    "digits": Experiment(
        "digits", "mnist", ("--preset", "digits", "--max-time", "30m", "--parzen", "--classifier")
    ),
    "cifar10": Experiment(
        "benchmarks", "cifar10", ("--preset", "cifar", "--max-time", "45m"), ("--split", "train")
    ),
    "celeba": Experiment(
        "benchmarks", "celeba", ("--preset", "face", "--max-time", "30m"), ("--split", "train")
    ),
    "lsun-bedroom": Experiment(
        "benchmarks",
        "lsun-bedroom",
        ("--preset", "scene", "--max-time", "20m", "--limit", "50000", "--split", "train",
         "--real-limit", "10000"),
        ("--real-limit", "50000"),
    ),
}  # fmt: skip


def command(
    name: str, data: str | None, out: str | None, official: str | None, more: list[str]
) -> list[str]:
    """The arguments of `coopnets` that make a table."""
    chosen = EXPERIMENTS[name]
    options = _options([*chosen.options, *COMMON])
    if official:
        fid = ["--features", "inception", "--inception-weights", official, "--samples", "50000"]
        options += _options([*fid, *chosen.official])
    options += _options(more)
    last = {option[0]: option for option in options}  # of an option given twice the later one
    words = [word for option in last.values() for word in option]
    return ["compare", data or chosen.data, "--out", out or f"runs/{name}", *words]


def _options(words: Sequence[str]) -> list[list[str]]:
    """Each option with its values: ["--moments", "3"]."""
    found: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not found:
            found.append(word.split("=", 1) if word.startswith("--") else [word])
        else:
            found[-1].append(word)
    return found


def fill(name: str, outcome: dict[str, Any], official: bool, called: str | None) -> Path:
    """Write a table into the README of its experiment, in place of what stood there.

    Args:
        name: of the experiment.
        outcome: the content of table.json.
        official: whether it is the table of the official FID.
        called: what the data are called; by default the last part of their path.
    """
    readme = HERE / EXPERIMENTS[name].folder / "README.md"
    slot = f"{name} official" if official else name
    text = readme.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- table {re.escape(slot)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        sys.exit(f"{readme} has no place for the table {slot}")
    block = _block(_without_paths(outcome, called), _published(readme.parent, name))
    readme.write_text(pattern.sub(lambda m: m[1] + block + m[2], text), encoding="utf-8")
    return readme


def _block(outcome: dict[str, Any], published: dict[str, float]) -> str:
    found = tables(outcome)
    if published:
        found[0].headings.insert(1, "published FID")
        for row in found[0].rows:
            row.insert(1, f"{published[row[0]]:.2f}" if row[0] in published else "–")
    parts = [f"{t.title}:\n\n{markdown_table(t)}" if t.title else markdown_table(t) for t in found]
    parts.append("\n".join(f"- {key}: {text}" for key, text in facts_of(outcome).items()))
    parts.append("\n".join(f"- {note}" for note in notes_of(outcome)))
    return "\n" + "\n\n".join(part for part in parts if part) + "\n\n"


def _published(folder: Path, name: str) -> dict[str, float]:
    file = folder / "published.json"
    known: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}
    return known.get(name, {})


def _without_paths(outcome: dict[str, Any], called: str | None) -> dict[str, Any]:
    """Where data and runs lie on one machine is no matter of the others."""
    words = [Path(w).name if "/" in w else w for w in shlex.split(outcome["command"])]
    apart = outcome["data"]["source"] != outcome["real"]["source"]

    def named(images: dict[str, Any]) -> dict[str, Any]:
        file = Path(images["source"]).name
        return {**images, "source": f"{called} ({file})" if called and apart else called or file}

    sources = {key: named(outcome[key]) for key in ("data", "real")}
    return {**outcome, **sources, "command": shlex.join(words)}


def main(argv: list[str] | None = None) -> int:
    """Make or fill in a table; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--data", help="instead of the usual name: a folder, zip or Parquet")
    parser.add_argument("--out", help="folder of the comparison; runs/NAME")
    parser.add_argument("--official", metavar="FILE", help="Inception weights")
    parser.add_argument("--table", type=Path, help="a table.json to write into the README")
    parser.add_argument("--called", help="what the data are called in the README")
    given, more = parser.parse_known_args(argv)
    if given.table is None:
        out = given.out or f"runs/{given.name}"
        asked = command(given.name, given.data, out, given.official, more)
        sys.argv = ["coopnets", *asked]  # which is the command that the run folders keep
        if code := coopnets(asked):
            return code
        given.table = Path(out) / "table.json"
    outcome = json.loads(given.table.read_text())
    official = outcome["features"]["names"]["frechet"] == "FID"
    print(f"written into {fill(given.name, outcome, official, given.called)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
