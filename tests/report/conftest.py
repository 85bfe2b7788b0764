"""Run folders as training leaves them, small, with logs and grids of known content."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from coopnets.config import to_dict
from coopnets.methods import recipe
from coopnets.pictures import save_grid, side_by_side
from coopnets.presets import preset
from coopnets.runfolder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunFolder]:
    """Makes a run folder of the digits preset with the given log and grids of noise."""

    def make(
        lines: list[dict[str, Any]],
        grids: tuple[int, ...] = (),
        source: str = "mnist",
        panels: int = 3,
        method: str = "coopnets",
        **config: Any,
    ) -> RunFolder:
        folder = RunFolder(tmp_path / "run")
        folder.grids.mkdir(parents=True)
        data = {"source": source, "split": "train", "images": 60000, "skipped": 0}
        stored = {
            "coopnets": "0.1.0",
            "data": {**data, "fingerprint": "abc"},
            "config": {**to_dict(recipe(preset("digits"), method)), **config},
        }
        folder.replace(folder.config_file, stored)
        folder.metrics_file.write_text("".join(json.dumps(m) + "\n" for m in lines))
        for iteration in grids:
            parts = [torch.rand(4, 1, 28, 28) * 2 - 1 for _ in range(panels)]
            save_grid(side_by_side(*parts), folder.grids / f"{iteration:08d}.png")
        return folder

    return make
