"""Textures from one picture each, against Portilla and Simoncelli's model: one command.

    python experiments/textures/make.py --textures FOLDER_OR_FILES... --skimage --out DIR

Repeating the command goes on where it was stopped; a longer --minutes trains on. Options that are
not known here go to `coopnets train`, for instance `--size 64` or `--langevin.steps 10`.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script, whose own folder is searched instead of the root
    sys.path.insert(0, str(Path(__file__).parents[2]))

from coopnets.errors import CoopNetsError
from coopnets.evaluate import open_extractor
from coopnets.model import find_device
from coopnets.runfolder import RunFolder
from experiments.cells import Result, caught_up, write
from experiments.command import circumstances, new_parser, refuse, run, say, show
from experiments.textures.figures import draw_all, draw_synthesised, draw_texture
from experiments.textures.layout import markdown, wins
from experiments.textures.portilla import ITERATIONS
from experiments.textures.sources import find
from experiments.textures.work import Plan, carry_out
from experiments.training import OWN, use_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return run("experiments/textures/make.py", _parser(), make, argv)


def make(given: argparse.Namespace, more: Sequence[str], command: str) -> int:
    """Every texture, and after each the tables and figures of what there is."""
    use_threads(given.threads)
    if given.minutes <= 0 or given.windows < 10 or given.ps_iterations < 0:
        raise CoopNetsError("--minutes must be above 0, --windows at least 10, "
                            "--ps-iterations at least 0")  # fmt: skip
    refuse(more, (*OWN, "--image-channels"))
    textures = find(given.textures, given.skimage, given.side, given.may_show)
    device = find_device("auto")
    plan = Plan(
        out=given.out, minutes=given.minutes, options=("--preset", given.preset, *more),
        ps_iterations=given.ps_iterations, windows=given.windows, seed=given.seed,
        extractor=open_extractor(given.features, device=device), say=say,
    )  # fmt: skip
    rows: list[Result] = []
    with RunFolder(given.out).locked():
        for texture in textures:
            began = time.perf_counter()
            rows.append(carry_out(texture, plan))
            folder = given.out / texture.name
            draw_texture(rows[-1], folder, folder / "figure.png")
            if caught_up(given.out / "table.json", rows) or len(rows) == len(textures):
                _write(given.out, rows, _about(plan, given, command, len(textures), device))
            if given.publish is not None:
                draw_texture(rows[-1], folder, given.publish / f"{texture.name}.png", False)
            say(f"{texture.name}: done, {time.perf_counter() - began:.0f} s of this command")
        draw_all(rows, given.out, given.out / "textures.png")
        draw_synthesised(rows, given.out, given.out / "synthesised.png")
        if given.publish is not None:
            draw_all(rows, given.out, given.publish / "textures.png", False)
            draw_synthesised(rows, given.out, given.publish / "synthesised.png")
    show(given.out / "table.md")
    return 0


def _write(out: Path, rows: Sequence[Result], about: dict[str, Any]) -> None:
    write(out / "table.md", markdown(rows, about))
    content = {"about": about, "nearer": wins(rows), "rows": list(rows)}
    write(out / "table.json", json.dumps(content, indent=1))


def _about(
    plan: Plan, given: argparse.Namespace, command: str, textures: int, device: Any
) -> dict[str, Any]:
    return {
        "command": f"`{command}`",
        "textures": f"{textures}, the middle {given.side}x{given.side} pixels of each, for all "
        "methods",
        "training": f"`coopnets train {shlex.join(plan.options)}`, {plan.minutes:g} minutes each",
        "samples": f"one of {given.side}x{given.side} pixels of each method, seed {plan.seed}, "
        "none chosen",
        "distance": f"Frechet, in features of {plan.extractor.name} ({plan.extractor.resize}), "
        f"{plan.windows} random windows a side",
        **circumstances(device),
    }


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--textures", nargs="+", type=Path, default=[], help="pictures, or folders of them")
    add("--skimage", action="store_true", help="also brick, grass and gravel of scikit-image")
    add("--out", type=Path, required=True, help="folder for runs, pictures, figures and tables")
    add("--minutes", type=float, default=15.0, help="of training for each texture")
    add("--preset", default="texture", help="settings of the training")
    add("--side", type=int, default=256, help="the middle square of each picture that is used")
    add("--windows", type=int, default=500, help="random windows on each side of a distance")
    add("--ps-iterations", type=int, default=ITERATIONS,
        help="of Portilla and Simoncelli's synthesis, at most; 0 leaves it out")  # fmt: skip
    add("--features", default="efficientnet-lite0", help="network that distances are measured in")
    add("--seed", type=int, default=0, help="of samples, noise and windows")
    add("--publish", type=Path, metavar="DIR",
        help="also draw figures without the originals that may not be shown")  # fmt: skip
    add(
        "--may-show",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="names of pictures whose licence lets the original be published, ps_* for instance",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
