"""Dynamic textures from one clip each, against linear dynamical systems: one command.

    python experiments/dynamic-textures/make.py --videos FOLDER --out DIR --minutes 45

Repeating the command goes on where it was stopped; a longer --minutes trains on. Options that are
not known here go to `coopnets train`, for instance `--frames 48` or `--langevin.steps 10`.
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
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dynamic.checks import check
from dynamic.figures import draw_clip, draw_spectra, write_loops, write_moving
from dynamic.layout import markdown, rivals, wins
from dynamic.sources import find
from dynamic.work import OURS, Plan, carry_out, first_frames

from coopnets.complete.latent import Search
from coopnets.errors import CoopNetsError
from coopnets.evaluate import open_extractor
from coopnets.evaluate.motion import WINDOW
from coopnets.lds import STATES
from coopnets.model import find_device
from coopnets.runfolder import RunFolder
from experiments.cells import Result, caught_up, write
from experiments.command import circumstances, new_parser, refuse, run, say, show
from experiments.training import OWN, use_threads

SCRIPT = "experiments/dynamic-textures/make.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return run(SCRIPT, _parser(), make, argv)


def make(given: argparse.Namespace, more: Sequence[str], command: str) -> int:
    """Every clip, and after each the tables and figures of what there is."""
    use_threads(given.threads)
    refuse(more, OWN)
    if given.minutes <= 0 or given.windows < 10 or min(given.samples, *given.states) < 1:
        raise CoopNetsError("--minutes must be above 0, --windows at least 10, --samples and "
                            "--states at least 1")  # fmt: skip
    if given.starts < 1 or given.latent_steps < 1:
        raise CoopNetsError("--starts and --latent-steps must be at least 1")
    if given.publish is not None and given.publish.exists() and not given.publish.is_dir():
        raise CoopNetsError(f"--publish {given.publish} is no folder")
    videos = find(given.videos, given.clips)
    device = find_device("auto")
    size = () if given.size is None else ("--size", str(given.size))
    search = Search(
        steps=given.latent_steps, starts=given.starts, trial=max(1, given.latent_steps // 8),
        sigma=None,
    )  # fmt: skip
    plan = Plan(
        out=given.out, minutes=given.minutes, samples=given.samples,
        states=tuple(dict.fromkeys(given.states)),
        options=("--preset", given.preset, *size, *more),
        search=search,
        windows=given.windows, seed=given.seed,
        extractor=open_extractor(given.features, device=device), say=say,
    )  # fmt: skip
    rows: list[Result] = []
    with RunFolder(given.out).locked():
        check(videos, plan)
        for name, video in videos.items():
            began = time.perf_counter()
            rows.append(carry_out(name, video, plan))
            _show(rows[-1], given.out, given.publish)
            if caught_up(given.out / "table.json", rows) or len(rows) == len(videos):
                draw_spectra(rows, given.out / "spectra.png")
                write_loops(rows, given.out, given.out / "loops.gif")
                _write(given.out, rows, _about(plan, given, command, videos, device))
            say(f"{name}: done, {time.perf_counter() - began:.0f} s of this command")
        if given.publish is not None:
            draw_spectra(rows, given.publish / "spectra.png")
            write_loops(rows, given.out, given.publish / "loops.gif")
    show(given.out / "table.md")
    return 0


def _show(row: Result, out: Path, publish: Path | None) -> None:
    """Figures and moving pictures of a clip; those to publish are of what was synthesised."""
    if row["failed"]:
        return
    name, folder, fps = row["name"], out / row["name"], row["clip"]["fps"]
    linear = list(row["linear"])
    draw_clip([*OURS, *linear], folder, first_frames(folder), folder / "sheet.png")
    write_moving(["revised", *linear], folder, fps, out / "gifs", name)
    if publish is not None:
        draw_clip([*OURS, *linear], folder, None, publish / f"{name}.png")
        write_moving(["revised", *linear], folder, fps, publish, name)


def _write(out: Path, rows: Sequence[Result], about: dict[str, Any]) -> None:
    write(out / "table.md", markdown(rows, about))
    content = {
        "about": about,
        "better": {name: wins(rows, name) for name in rivals(rows)},
        "rows": list(rows),
    }
    write(out / "table.json", json.dumps(content, indent=1))


def _about(
    plan: Plan, given: argparse.Namespace, command: str, videos: dict[str, Path], device: Any
) -> dict[str, Any]:
    return {
        "command": f"`{command}`",
        "clips": f"{len(videos)}, each learnt by itself: {', '.join(videos)}",
        "training": f"`coopnets train {shlex.join(plan.options)}`, {plan.minutes:g} minutes each",
        "samples": f"{plan.samples} clips of each system, as long as an example, seed "
        f"{plan.seed}, none chosen; ± is their standard deviation",
        "linear system": f"{' and '.join(map(str, plan.states))} states, from the same frames",
        "distances": f"in features of {plan.extractor.name} ({plan.extractor.resize}), "
        f"{plan.windows} random windows a side, {100 * WINDOW:.0f} % of a frame's side",
        "reconstruction": f"of the first frames, z from {plan.search.starts} starts in "
        f"{plan.search.steps} Langevin steps",
        **circumstances(device),
    }


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--videos", type=Path, required=True, help="folder of the clips: videos, animated GIFs")
    add("--out", type=Path, required=True, help="folder for runs, clips, figures and tables")
    add("--clips", nargs="+", default=[], metavar="NAME",
        help="some of them, by their files' names without suffix; by default all")  # fmt: skip
    add("--minutes", type=float, default=45.0, help="of training for each clip")
    add("--size", type=int, help="side of the frames; by default the preset's")
    add("--preset", default="dynamic-texture", help="settings of the training")
    add("--states", type=int, nargs="+", default=[STATES, 2 * STATES], help="of linear systems")
    add("--samples", type=int, default=4, help="clips drawn and measured of each system")
    add("--starts", type=int, default=4, help="latent sequences that a reconstruction begins at")
    add("--latent-steps", type=int, default=200, help="Langevin steps of a reconstruction")
    add("--windows", type=int, default=500, help="random windows on each side of a distance")
    add("--features", default="efficientnet-lite0", help="network that distances are measured in")
    add("--seed", type=int, default=0, help="of samples, chains and windows")
    add("--publish", type=Path, metavar="DIR",
        help="also write figures without originals, and the moving pictures, there")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
