"""Comparisons small enough for a test: 8x8 pictures, a clock of their own, a cheap network."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from coopnets.cli import main
from coopnets.compare import outcome, scoring, training
from coopnets.evaluate.classifier import Classifier, save_classifier
from parquet_files import write_parquet
from small import FLAGS, pixels

METHODS = ("coopnets", "dcgan", "vae")
TICK = 0.125
"""Seconds of an iteration; a power of two, so that their sums are exact."""


class Clock:
    """In place of the training loop's clock: every iteration takes the same time.

    ``at`` maps the number of an iteration, over all methods and commands, to what then happens.
    """

    def __init__(self) -> None:
        self.calls, self.at = 0, dict[int, Callable[[], None]]()

    def perf_counter(self) -> float:
        self.calls += 1
        if self.calls % 2 == 0:
            self.at.pop(self.calls // 2, lambda: None)()
        return self.calls * TICK


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("coopnets.train.time", made)
    return made


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures to train on and thirty to compare with, in one .npz file."""
    file = tmp_path_factory.mktemp("data") / "x.npz"
    np.savez(file, train=pixels(60), test=pixels(30, seed=1))
    return file


@pytest.fixture(scope="session")
def small_network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of an untrained classifier: a feature network like any other."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("network") / "small.safetensors"
    save_classifier(Classifier(10, 1, 8), file, 0.5)
    return str(file)


Command = Callable[..., list[str]]


@pytest.fixture
def command(pair: Path, small_network: str, tmp_path: Path) -> Command:
    """Makes the command line of a comparison of twelve iterations in two moments."""

    def make(*more: str, out: str = "out", data: Path = pair, methods: str = "") -> list[str]:
        return [
            "compare", str(data), "--out", str(tmp_path / out), "--max-time", f"{12 * TICK}s",
            "--methods", methods or ",".join(METHODS), "--moments", "2", "--samples", "24",
            "--curve-samples", "16", "--features", small_network, *FLAGS, *more,
        ]  # fmt: skip

    return make


@pytest.fixture
def carried_out(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:  # fmt: skip
    """Runs a comparison that must succeed; returns table.json."""

    def run(*more: str, out: str = "out", **which: Any) -> dict[str, Any]:
        argv = command(*more, out=out, **which)
        monkeypatch.setattr(sys, "argv", ["coopnets", *argv])
        code = main(argv)
        captured = capsys.readouterr()
        assert code == 0, captured.err
        found: dict[str, Any] = json.loads((tmp_path / out / "table.json").read_text())
        return found

    return run


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What is evaluated: (method, iteration, samples); ``before`` is called ahead of each."""
    seen = SimpleNamespace(done=[], before=lambda *_: None)
    usual, usual_images = scoring.evaluate, scoring.evaluate_images

    def evaluate(model: Any, stick: Any, *, samples: int, **more: Any) -> Any:
        key = (model.config.method, model.about["iteration"], samples)
        seen.before(*key)
        records = usual(model, stick, samples=samples, **more)
        seen.done.append(key)
        return records

    def evaluate_images(images: Any, stick: Any, *, samples: int, **more: Any) -> Any:
        seen.before("images", 0, samples)
        record = usual_images(images, stick, samples=samples, **more)
        seen.done.append(("images", 0, samples))
        return record

    monkeypatch.setattr(scoring, "evaluate", evaluate)
    monkeypatch.setattr(scoring, "evaluate_images", evaluate_images)
    return seen


@pytest.fixture(scope="session")
def digit_parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real digits of 8x8 pixels with labels: train.parquet (1,400) and test.parquet (397)."""
    datasets = pytest.importorskip("sklearn.datasets")
    loaded = datasets.load_digits()
    images = (loaded.images[:, None] * 15.9).astype(np.uint8)
    folder = tmp_path_factory.mktemp("digits")
    write_parquet(folder / "train.parquet", images[:1400], loaded.target[:1400])
    write_parquet(folder / "test.parquet", images[1400:], loaded.target[1400:])
    return folder


@pytest.fixture
def drawn() -> None:
    """Asked for by a test that wants curves, and the runs' own reports."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than everything else here."""
    if not {"drawn", "out"} & set(request.fixturenames):
        monkeypatch.setattr(training, "_report", lambda run: None)
        monkeypatch.setattr(outcome, "draw_curves", lambda found: "<svg></svg>")
