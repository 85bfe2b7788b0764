"""A record as the cells of a table."""

from typing import Any

from coopnets.evaluate.scores import SPREAD


def score_cells(record: dict[str, Any]) -> dict[str, str]:
    """Steps of revision and the scores, by their names; spreads behind their means."""
    scores = record["scores"]
    cells = {"steps": str(record["langevin_steps"])}
    for name, value in scores.items():
        if not name.endswith(SPREAD):
            spread = scores.get(name + SPREAD)
            cells[name] = f"{value:.4g}" + ("" if spread is None else f" ± {spread:.2g}")
    return cells


def digit_cells(record: dict[str, Any]) -> dict[str, str]:
    """What was measured for digits alone; empty if nothing was."""
    cells = {}
    for protocol, found in record.get("parzen", {}).items():
        value, error = found["log_likelihood"], found["standard_error"]
        cells[f"Parzen {protocol} (nats)"] = f"{value:.1f} ± {error:.1f}"
        cells[f"sigma {protocol}"] = f"{found['sigma']:.3g}"
    if judged := record.get("classifier"):
        cells["classes above 1 %"] = str(judged["classes_present"])
        cells["confidence"] = f"{judged['confidence']:.3f}"
        cells["FD (classifier)"] = f"{judged['frechet_distance']:.4g}"
    return cells


def class_cells(record: dict[str, Any]) -> dict[str, str]:
    """Share of the samples in each class, in per cent; empty if no classifier looked."""
    shares = record.get("classifier", {}).get("histogram", [])
    return {str(label): f"{100 * share:.1f}" for label, share in enumerate(shares)}
