"""What a comparison has found, read from its folder: table.json, and all that is made of it."""

import json
from datetime import UTC, datetime
from typing import Any

from coopnets.compare.curves import draw_curves
from coopnets.compare.folder import ComparisonFolder
from coopnets.compare.grids import grid_file
from coopnets.compare.page import page
from coopnets.compare.plan import Plan
from coopnets.compare.scoring import MOMENT, Scoring
from coopnets.compare.table import markdown
from coopnets.compare.together import draw_together
from coopnets.compare.training import Standing, standing
from coopnets.config import to_dict
from coopnets.data import ImageData
from coopnets.evaluate.provenance import provenance
from coopnets.evaluate.scores import score_names

OVER = 1.05
"""Part of the time asked for above which a row has had more than the others."""
Outcome = dict[str, Any]


def publish(
    folder: ComparisonFolder, plan: Plan, scoring: Scoring, images: ImageData,
    floor: dict[str, Any] | None, failures: dict[str, str],
) -> Outcome:  # fmt: skip
    """Write the table, the curves, the pictures and the page of what there is so far.

    Args:
        folder: of the comparison.
        plan: what is compared.
        scoring: how samples were scored.
        images: training images.
        floor: record of training images scored as if they were samples, or None.
        failures: why the samples of a method could not be scored.

    Returns:
        The content of table.json.

    Raises:
        RunError: a file cannot be written.
    """
    outcome = _collect(folder, plan, scoring, images, floor, failures)
    folder.write(folder.table, json.dumps(outcome, indent=1))
    folder.write(folder.markdown, markdown(outcome))
    curves = draw_curves(outcome)
    folder.write(folder.curves, curves)
    draw_together(outcome, folder.path, folder.samples)
    folder.write(folder.page, page(outcome, folder.path, curves))
    return outcome


def _collect(
    folder: ComparisonFolder, plan: Plan, scoring: Scoring, images: ImageData,
    floor: dict[str, Any] | None, failures: dict[str, str],
) -> Outcome:  # fmt: skip
    stick, about = scoring.yardstick, folder.about()
    stands = {method: standing(folder.run(method)) for method in plan.methods}
    rows, curves = [], []
    for name, method, source in plan.rows():
        where, run = stands[method], folder.run(method)
        record = scoring.final(run, where.iteration).get(source)
        row = {"row": name, "method": method, "source": source}
        grid = grid_file(folder, name, where.iteration)
        state = _state(where, record, failures.get(method))
        rows.append({
            **row, **state, "iteration": where.iteration, "training_seconds": where.seconds,
            "grid": str(grid.relative_to(folder.path)) if grid.exists() else None,
        })  # fmt: skip
        points = {r["iteration"]: r for r in scoring.points(run) if r["source"] == source}
        curves.append({**row, "points": [_point(points[i]) for i in sorted(points)]})
    return {
        "comparison": plan.told(),
        "command": about["command"],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(scoring.device),
        "data": {"source": images.source, "split": images.split, "images": len(images),
                 "fingerprint": images.fingerprint},
        "real": {"source": stick.real.source, "split": stick.real.split,
                 "images": len(stick.real), "fingerprint": stick.real.fingerprint},
        "features": {"extractor": stick.extractor.name, "resize": stick.extractor.resize,
                     "weights": stick.extractor.identity,
                     "names": score_names(stick.extractor.name, stick.extractor.official)},
        "rows": rows,
        "floor": floor,
        "curves": curves,
        "warnings": _warnings(rows, plan),
        "settings": {m: to_dict(folder.run(m).config()) for m in plan.methods},
    }  # fmt: skip


def _state(where: Standing, record: dict[str, Any] | None, failure: str | None) -> Outcome:
    """Whether a row has its scores, and if not, why."""
    if where.gave_up:
        return {"state": "diverged", "note": where.gave_up, "record": None}
    if record is not None:
        return {"state": "scored", "note": "", "record": record}
    if failure:
        return {"state": "not scored", "note": failure, "record": None}
    return {"state": "unfinished", "note": "", "record": None}


def _point(record: dict[str, Any]) -> Outcome:
    return {
        "training_seconds": record["training_seconds"], "iteration": record["iteration"],
        MOMENT: record[MOMENT], "n_generated": record["n_generated"], "scores": record["scores"],
    }  # fmt: skip


def _warnings(rows: list[Outcome], plan: Plan) -> list[str]:
    """What a reader must know, each once, whatever number of rows it concerns."""
    told = [w for row in rows if row["record"] for w in row["record"]["warnings"]]
    for row in rows:
        if row["training_seconds"] > OVER * plan.max_time:
            told.append(
                f"{row['row']} was trained for {row['training_seconds']:.0f} s, longer than the "
                f"{plan.max_time:.0f} s of this comparison"
            )
    return list(dict.fromkeys(told))
