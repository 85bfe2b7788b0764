"""Scenes over the number of training images, against DCGAN at equal time: one command.

    python experiments/scenes/make.py --train "scenes/{}/train" --test "scenes/{}/test" --out DIR

Each {} stands for the name of a scene. Repeating the command goes on where it was stopped; a
longer --minutes trains on. Options that are not known here go to every `coopnets compare`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script, whose own folder is searched instead of the root
    sys.path.insert(0, str(Path(__file__).parents[2]))

from coopnets.compare.table import facts_of
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets
from coopnets.runfolder import RunFolder
from experiments.cells import Result, caught_up, write
from experiments.command import new_parser, refuse, run, show, table_row
from experiments.gallery import draw
from experiments.scenes.curves import draw_curves
from experiments.training import called, use_threads

METHODS = ("CoopNets descriptor", "CoopNets generator", "DCGAN")
ALL = "all"
OWN = ("--methods", "--real", "--max-time", "--limit", "--fresh")
"""Options of the comparisons that are not for the user to change."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return run("experiments/scenes/make.py", _parser(), make, argv)


def make(given: argparse.Namespace, more: Sequence[str], command: str) -> int:
    """Every comparison with its pictures, and after each the table of what there is."""
    use_threads(given.threads)
    if given.minutes <= 0:
        raise CoopNetsError("--minutes must be above 0")
    for name in ("train", "test"):
        if len(given.scenes) > 1 and "{}" not in getattr(given, name):
            raise CoopNetsError(f"--{name} needs {{}} in the place of the scene's name")
    refuse(more, OWN)
    if bad := [c for c in given.counts if c != ALL and (not c.isdigit() or not int(c))]:
        raise CoopNetsError(f"--counts {bad[0]}: give numbers, or {ALL}")
    rows: list[Result] = []
    with RunFolder(given.out).locked():
        for scene in given.scenes:
            for count in given.counts:
                if count == ALL and any(r["scene"] == scene and _exhausted(r) for r in rows):
                    continue  # it would be that row again
                rows.append(_row(scene, count, given, more))
                if caught_up(given.out / "table.json", rows):
                    _write(rows, given.out, command)
        _write(rows, given.out, command)
    show(given.out / "table.md")
    return 0


def _write(rows: Sequence[Result], out: Path, command: str) -> None:
    write(out / "table.md", markdown(rows, command))
    content = {"command": command, "rows": rows, "nearer": nearer(rows)}
    write(out / "table.json", json.dumps(content, indent=1))
    draw_curves(rows, out / "table.svg")


def _exhausted(row: Result) -> bool:
    """Whether so many images were asked for that it took all there are."""
    return bool(row["count"] != ALL and row["images"] < int(row["count"]))


def _row(scene: str, count: str, given: argparse.Namespace, more: Sequence[str]) -> Result:
    """One comparison: both methods trained for the same time on so many images of a scene."""
    folder = given.out / f"{scene}-{count}"
    limit = [] if count == ALL else ["--limit", count]
    argv = [
        "compare", given.train.replace("{}", scene), "--real", given.test.replace("{}", scene),
        "--out", str(folder), "--max-time", f"{60 * given.minutes:g}s",
        "--methods", "coopnets,dcgan", "--preset", given.preset, "--moments", str(given.moments),
        "--samples", str(given.samples), "--curve-samples", str(min(given.samples, 500)),
        "--features", "efficientnet-lite0", *limit, *more,
    ]  # fmt: skip
    called(argv, f"the comparison in {folder}")
    outcome = json.loads((folder / "table.json").read_text())
    model = CoopNets.from_pretrained(folder / "coopnets", "auto")
    draw(model, folder / "pictures", ("linear", "sphere"), model.config.seed)
    return {"scene": scene, "count": count, **told(outcome)}


def told(outcome: dict[str, Any]) -> Result:
    """What the table needs of a comparison's table.json."""
    found = {
        row["row"]: {
            "scores": None if row["record"] is None else row["record"]["scores"],
            "state": row["state"], "iteration": row["iteration"],
            "training_seconds": row["training_seconds"],
        }
        for row in outcome["rows"]
    }  # fmt: skip
    floor = outcome["floor"]["scores"] if outcome["floor"] else None
    return {
        "images": outcome["data"]["images"], "real": outcome["real"]["images"],
        "names": outcome["features"]["names"], "rows": found, "floor": floor,
        "facts": facts_of(outcome), "warnings": outcome["warnings"],
    }  # fmt: skip


def nearer(rows: Sequence[Result]) -> dict[str, int]:
    """In how many rows the descriptor's samples, and the generator's, are nearer than DCGAN's.

    Rows in which DCGAN has no score are left out; one in which ours has none is lost.
    """
    there = [row for row in rows if _score(row, "DCGAN", "frechet") is not None]
    counted = {m: sum(_nearer(row, m) for row in there) for m in METHODS[:2]}
    return {**counted, "of": len(there)}


def _nearer(row: Result, method: str) -> bool:
    ours, theirs = (_score(row, m, "frechet") for m in (method, "DCGAN"))
    return ours is not None and theirs is not None and ours < theirs


def markdown(rows: Sequence[Result], command: str) -> str:
    """table.md."""
    names, facts = rows[-1]["names"], rows[-1]["facts"]
    counted = nearer(rows)
    heads = [f"{m}: {names[score]}" for score in ("frechet", "kernel") for m in METHODS]
    columns = ["scene", "images", "held-out photos", *heads, "training images: FD", "iterations",
               "minutes of training"]  # fmt: skip
    lines = [
        "# Scenes", "", f"- command: `{command}`",
        *(f"- {key}: {facts[key]}" for key in ("samples", "features", "machine", "code", "made")),
        f"- nearer to the held-out photos than DCGAN, by {names['frechet']}: the descriptor in "
        f"{counted[METHODS[0]]}, the generator in {counted[METHODS[1]]} of {counted['of']} rows",
        "- iterations and minutes: CoopNets and DCGAN", "",
        table_row(columns), "| --- |" + " ---: |" * (len(columns) - 1),
    ]  # fmt: skip
    for row in rows:
        cells = [_cell(row, m, score) for score in ("frechet", "kernel") for m in METHODS]
        floor = "–" if row["floor"] is None else f"{row['floor'][names['frechet']]:.4g}"
        taken = [f"{row['rows'][m]['iteration']:,}" for m in (METHODS[0], METHODS[2])]
        minutes = [f"{row['rows'][m]['training_seconds'] / 60:.1f}"
                   for m in (METHODS[0], METHODS[2])]  # fmt: skip
        first = [row["scene"], f"{row['images']:,}", f"{row['real']:,}"]
        lines.append(
            table_row([*first, *cells, floor, " and ".join(taken), " and ".join(minutes)])
        )
    warnings = dict.fromkeys(w for row in rows for w in row["warnings"])
    return "\n".join([*lines, "", *(f"- {w}" for w in warnings), ""])


def _score(row: Result, method: str, score: str) -> float | None:
    scores = row["rows"][method]["scores"]
    return None if scores is None else float(scores[row["names"][score]])


def _cell(row: Result, method: str, score: str) -> str:
    value = _score(row, method, score)
    if value is None:
        return str(row["rows"][method]["state"])
    best = min(v for m in METHODS if (v := _score(row, m, score)) is not None)
    return f"**{value:.4g}**" if value == best else f"{value:.4g}"


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--train", required=True, help="training photos: a path with {} for the scene's name")
    add("--test", required=True, help="held-out photos of the same scenes, with {} as well")
    add("--out", type=Path, required=True, help="folder for comparisons, pictures and the table")
    add("--scenes", nargs="+", default=["mountain", "sea", "street"])
    add(
        "--counts", nargs="+", default=["50", "100", "300", ALL], help=f"training images, or {ALL}"
    )
    add("--minutes", type=float, default=20.0, help="of training, for each method and row")
    add("--moments", type=int, default=2, help="times at which curves of quality have points")
    add("--preset", default="scene", help="settings of the training")
    add("--samples", type=int, default=1000, help="scored for each method and row")
    return parser


if __name__ == "__main__":
    sys.exit(main())
