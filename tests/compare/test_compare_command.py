"""A comparison from the command line: equal time, equal scoring, and nothing done twice."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from coopnets import CoopNets, checkpoint
from coopnets.cli import main
from coopnets.compare.plan import ROWS
from coopnets.data import open_images, to_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate import features, read_records, scores
from coopnets.guard import Diverged
from coopnets.methods.dcgan import DCGAN
from coopnets.runfolder import RunFolder

CRITIC = ["--critic.channels", "8", "8"]
ALL = "coopnets,dcgan,wgan,vae,descriptor,generator"


def figures(outcome: dict[str, Any]) -> Any:
    """What two comparisons that computed the same must have in common."""
    rows = [
        (r["row"], r["state"], r["iteration"], r["training_seconds"],
         r["record"] and r["record"]["scores"])
        for r in outcome["rows"]
    ]  # fmt: skip
    curves = [(c["row"], c["points"]) for c in outcome["curves"]]
    return rows, curves, outcome["floor"]["scores"]


def test_a_row_for_each_network_after_equal_time_alike_scored(
    carried_out: Any, clock: Any, drawn: None, tmp_path: Path
) -> None:
    outcome = carried_out(methods=ALL)
    assert [row["row"] for row in outcome["rows"]] == list(ROWS.values())
    text = (tmp_path / "out" / "table.md").read_text()
    for row in outcome["rows"]:
        assert row["state"] == "scored"
        assert (row["iteration"], row["training_seconds"]) == (12, 1.5)
        assert f"| {row['row']} | 12 | 2 s | {row['record']['scores']['FD (small)']:.4g} |" in text
        assert (tmp_path / "out" / row["grid"]).exists()
    assert len({r["record"]["scores"]["FD (small)"] for r in outcome["rows"]}) == 7
    alike = ("n_real", "n_generated", "extractor", "weights", "resize", "fingerprint", "seed",
             "split")  # fmt: skip
    assert len({tuple(r["record"][key] for key in alike) for r in outcome["rows"]}) == 1
    assert (outcome["rows"][0]["record"]["n_real"], outcome["real"]["split"]) == (30, "test")
    for curve in outcome["curves"]:
        assert [p["training_seconds"] for p in curve["points"]] == [0.75, 1.5]
        assert [p["n_generated"] for p in curve["points"]] == [16, 16]
    for method in ALL.split(","):
        assert RunFolder(tmp_path / "out" / method).config().method == method
        assert (tmp_path / "out" / method / "report.html").exists()


def test_scores_are_those_of_the_runs_samples(
    carried_out: Any, clock: Any, tmp_path: Path, pair: Path, small_network: str
) -> None:
    outcome = carried_out("--seed", "3")
    real = open_images(pair, size=8, channels=1, split="test", say=lambda _: None)
    extractor = features.open_extractor(small_network)
    theirs, _ = features.extract(extractor, [torch.from_numpy(real.images.copy())])
    for row in outcome["rows"]:
        model = CoopNets.from_pretrained(tmp_path / "out" / row["method"])
        x = (
            model.sample(24, seed=3)
            if row["source"] == "descriptor"
            else model.generate(24, seed=3)
        )
        ours, _ = features.extract(extractor, [to_pixels(x)])
        expected = scores.frechet_distance(scores.moments(ours), scores.moments(theirs))
        assert row["record"]["scores"]["FD (small)"] == pytest.approx(expected, rel=1e-4)
    assert outcome["floor"]["n_generated"] == 24
    assert outcome["floor"]["scores"]["FD (small)"] < min(
        row["record"]["scores"]["FD (small)"] for row in outcome["rows"]
    )


def test_methods_take_turns(carried_out: Any, clock: Any, evaluations: SimpleNamespace) -> None:
    carried_out(methods="vae,coopnets")
    assert evaluations.done == [
        ("images", 0, 24),
        ("vae", 6, 16), ("coopnets", 6, 16), ("vae", 12, 16), ("coopnets", 12, 16),
        ("vae", 12, 24), ("coopnets", 12, 24),
    ]  # fmt: skip


def test_interrupted_and_continued_equals_uninterrupted(
    command: Any, carried_out: Any, clock: Any, evaluations: SimpleNamespace, tmp_path: Path
) -> None:
    """Ctrl-C in every evaluation, and in training at a first, a middle and a last iteration."""
    undisturbed = carried_out(out="undisturbed")
    done, evaluations.done = evaluations.done, []
    began = clock.calls // 2
    for iteration in (1, 8, 20):
        clock.at[began + iteration] = lambda: os.kill(os.getpid(), signal.SIGINT)
    stopped = set()

    def interrupt(*key: Any) -> None:
        if key not in stopped:
            stopped.add(key)
            raise KeyboardInterrupt

    evaluations.before = interrupt
    codes = []
    while not codes or (codes[-1] and len(codes) < 30):
        codes.append(main(command()))
    assert codes == [130] * (len(done) + 3) + [0]
    disturbed = json.loads((tmp_path / "out" / "table.json").read_text())
    assert figures(disturbed) == figures(undisturbed)
    assert evaluations.done == done  # each once, in the same order
    assert clock.calls // 2 - began == 36  # and no iteration twice


def test_repeated_it_does_nothing(
    carried_out: Any, clock: Any, evaluations: SimpleNamespace, tmp_path: Path
) -> None:
    first = carried_out()
    calls, done = clock.calls, list(evaluations.done)
    records = (tmp_path / "out" / "vae" / "evaluation.json").read_bytes()
    assert figures(carried_out()) == figures(first)
    assert (clock.calls, evaluations.done) == (calls, done)
    assert (tmp_path / "out" / "vae" / "evaluation.json").read_bytes() == records


def test_other_scores_of_what_is_trained(
    carried_out: Any, clock: Any, evaluations: SimpleNamespace
) -> None:
    """Networks are kept; the first scores come back without being computed again."""
    first = carried_out()
    calls = clock.calls
    more = carried_out("--samples", "30")
    assert clock.calls == calls and evaluations.done[-3:] == [
        (method, 12, 30) for method in ("coopnets", "dcgan", "vae")
    ]
    assert {r["record"]["n_generated"] for r in more["rows"]} == {30}
    assert [c["points"] for c in more["curves"]] == [c["points"] for c in first["curves"]]
    count = len(evaluations.done)
    assert figures(carried_out()) == figures(first) and len(evaluations.done) == count
    seen = carried_out("--curve-samples", "20")  # only where the runs stand now
    assert [[p["iteration"] for p in c["points"]] for c in seen["curves"]] == [[12]] * 4


def test_more_time_and_another_method(
    carried_out: Any, clock: Any, evaluations: SimpleNamespace
) -> None:
    carried_out(methods="vae,coopnets")
    evaluations.done.clear()
    outcome = carried_out("--max-time", "3s", methods="vae,coopnets,wgan")
    assert {(r["iteration"], r["training_seconds"]) for r in outcome["rows"]} == {(24, 3.0)}
    passed = {c["row"]: [p["iteration"] for p in c["points"]] for c in outcome["curves"]}
    assert passed["VAE"] == passed["CoopNets descriptor"] == [6, 12, 24]
    assert passed["W-GAN"] == [12, 24]
    assert ("vae", 12, 16) not in evaluations.done


def test_a_method_that_diverges_is_reported_and_the_others_go_on(
    carried_out: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[int] = []
    usual = DCGAN.iterate

    def iterate(self: DCGAN, x: Any, t: int, attempt: int = 0) -> Any:
        calls.append(t)
        if t >= 6 or attempt:
            raise Diverged("critic_loss is nan")
        return usual(self, x, t, attempt)

    monkeypatch.setattr(DCGAN, "iterate", iterate)
    outcome = carried_out()
    rows = {row["row"]: row for row in outcome["rows"]}
    assert rows["DCGAN"]["state"] == "diverged" and rows["DCGAN"]["record"] is None
    assert rows["DCGAN"]["note"] == "at iteration 0: critic_loss is nan"
    assert {rows[name]["state"] for name in rows if name != "DCGAN"} == {"scored"}
    assert {rows[name]["iteration"] for name in rows if name != "DCGAN"} == {12}
    text = (tmp_path / "out" / "table.md").read_text()
    assert "- DCGAN: diverged at iteration 0: critic_loss is nan" in text
    (line,) = (line for line in text.splitlines() if line.startswith("| DCGAN |"))
    assert line.count("diverged") == 1
    points = {c["row"]: len(c["points"]) for c in outcome["curves"]}
    assert points["DCGAN"] == 1 and points["VAE"] == 2  # the first moment was good
    assert "diverged" in (tmp_path / "out" / "compare.html").read_text()
    tried = len(calls)
    assert figures(carried_out()) == figures(outcome) and len(calls) == tried


def test_samples_that_cannot_be_scored_are_one_methods_matter(
    carried_out: Any, clock: Any, evaluations: SimpleNamespace
) -> None:
    def fail(method: str, iteration: int, samples: int) -> None:
        if method == "vae":
            raise CoopNetsError("the images hold NaN")

    evaluations.before = fail
    rows = {row["row"]: row for row in carried_out()["rows"]}
    assert (rows["VAE"]["state"], rows["VAE"]["note"]) == ("not scored", "the images hold NaN")
    assert {r["state"] for name, r in rows.items() if name != "VAE"} == {"scored"}
    evaluations.before = lambda *_: None
    assert {row["state"] for row in carried_out()["rows"]} == {"scored"}


def test_scores_that_no_samples_can_have_stop_it_before_the_training(
    command: Any, clock: Any, evaluations: SimpleNamespace, capsys: Any
) -> None:
    def fail(*_: Any) -> None:
        raise CoopNetsError("no torch-fidelity")

    evaluations.before = fail
    assert main(command()) == 1 and clock.calls == 0
    assert "no torch-fidelity" in capsys.readouterr().err


def test_fresh_starts_over(
    carried_out: Any, clock: Any, evaluations: SimpleNamespace, tmp_path: Path
) -> None:
    carried_out()
    evaluations.done.clear()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    outcome = carried_out("--sigma", "0.5", "--fresh", methods="coopnets,vae")
    assert outcome["settings"]["coopnets"]["sigma"] == 0.5
    assert len(evaluations.done) == 7  # the floor, two methods at two moments and the end
    assert not (tmp_path / "out" / "dcgan" / "config.json").exists()
    for method in ("coopnets", "vae"):
        run = tmp_path / "out" / method
        assert {r["iteration"] for r in read_records(run)} == {6, 12}
        assert checkpoint.whole(run / "checkpoints")[0].iteration == 12
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_parzen_and_classifier(
    command: Any, clock: Any, digit_parquet: Path, tmp_path: Path, capsys: Any
) -> None:
    argv = command("--parzen", "--classifier", data=digit_parquet, methods="coopnets,vae")
    assert main(argv) == 0
    outcome = json.loads((tmp_path / "out" / "table.json").read_text())
    text = (tmp_path / "out" / "table.md").read_text()
    for row in [r["record"] for r in outcome["rows"]] + [outcome["floor"]]:
        clean = row["parzen"]["clean"]
        assert clean["centres"] == 24 and clean["tested"] == 397
        assert f"{clean['log_likelihood']:.1f} ± {clean['standard_error']:.1f}" in text
        assert sum(row["classifier"]["histogram"]) == pytest.approx(1)
    points = [p for c in outcome["curves"] for p in c["points"]]
    assert len(points) == 6 and not any("parzen" in p for p in points)
    assert "Classes that the classifier finds" in text
    assert "| | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |" in text.replace("|  |", "| |")


def test_other_real_images(
    carried_out: Any, clock: Any, array: Path, pair: Path, tmp_path: Path
) -> None:
    """A set of its own has no parts: all of it counts."""
    outcome = carried_out("--real", str(array), methods="vae,coopnets")
    assert (outcome["real"]["source"], outcome["real"]["images"]) == (str(array), 40)
    again = carried_out("--real", str(pair), methods="vae,coopnets")
    assert (again["real"]["split"], again["real"]["images"]) == ("test", 30)
    assert {r["record"]["n_real"] for r in again["rows"]} == {30}


def test_images_of_the_training_only_if_asked_for(
    carried_out: Any, clock: Any, array: Path
) -> None:
    outcome = carried_out("--split", "train", data=array, methods="vae,coopnets")
    assert outcome["floor"] is None
    assert any("those of the training" in w for w in outcome["warnings"])
