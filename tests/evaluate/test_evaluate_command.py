"""The command, from a run folder to the table: against a closed form, and on real digits."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from coopnets import CoopNets
from coopnets.cli import main
from coopnets.config import LangevinConfig
from coopnets.data import to_pixels
from coopnets.evaluate import Extractor, features, read_records, scores
from coopnets.evaluate.classifier import save_classifier, train_classifier

Out = pytest.CaptureFixture[str]
Make = Callable[..., Extractor]
COUNT = 50_000
LATENT = 6


class Uniform(nn.Module):
    """A generator whose pixels are uniform on [-1, 1], six independent groups of them."""

    latent_shape = (LATENT,)

    def forward(self, z: Tensor) -> Tensor:
        pixels = torch.special.erf(z / math.sqrt(2))
        return pixels[:, torch.arange(64) % LATENT].view(-1, 1, 8, 8)


@pytest.fixture
def known(model: CoopNets) -> CoopNets:
    """A pair whose samples have known mean and covariance: f is 0, so that revision is linear.

    Each step is x <- a x + delta e with a = 1 - delta^2 / (2 s^2).
    """
    config = replace(model.config, langevin=LangevinConfig(steps=3, delta=0.1, s=0.15))
    weights = {
        "descriptor": {k: torch.zeros_like(v) for k, v in model.descriptor.state_dict().items()},
        "generator": model.generator.state_dict(),
    }
    pair = CoopNets(config, weights)
    pair.networks["generator"] = Uniform()
    return pair


def covariances(pair: CoopNets) -> dict[str, np.ndarray]:
    """Of the pixels, (64, 64), on the scale [0, 1]."""
    groups = np.eye(LATENT)[np.arange(64) % LATENT]
    proposed = groups @ groups.T / 3  # a uniform on [-1, 1] has variance 1/3
    at = pair.config.langevin
    keep = 1 - at.delta**2 / (2 * at.s**2)  # type: ignore[operator]
    noise = at.delta**2 * sum(keep ** (2 * i) for i in range(at.steps))
    revised = keep ** (2 * at.steps) * proposed + noise * np.eye(64)
    rounding = 1 / 12 / 255**2 * np.eye(64)
    return {"generator": proposed / 4, "descriptor": revised / 4 + rounding}


def root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def gaussian_distance(m: np.ndarray, c: np.ndarray, n: np.ndarray, d: np.ndarray) -> float:
    """Dowson and Landau 1982, by symmetric square roots."""
    cross = root(root(c) @ d @ root(c))
    return float(((m - n) ** 2).sum() + np.trace(c + d - 2 * cross))


def test_fid_of_50000_samples_is_the_closed_form(
    known: CoopNets, linear: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    """The command for the official FID, with a linear network in place of Inception.

    Real pixels are independent and uniform on 40..199: mean 119.5, variance (160^2 - 1) / 12.
    """
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(40, 200, (COUNT, 8, 8), dtype=np.uint8))
    (tmp_path / "run").mkdir()
    matrix = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) / 8
    stand_in = linear(matrix, "inception", official=True)
    monkeypatch.setattr(features, "inception", lambda weights, device: stand_in)
    monkeypatch.setattr(CoopNets, "from_pretrained", lambda run, device: known)
    monkeypatch.setattr(scores, "PAIRED", 500)  # the distance is what counts here
    monkeypatch.setattr(scores, "SUBSETS", 5)
    argv = [
        "evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "x.npy"), "--split", "train",
        "--samples", str(COUNT), "--features", "inception", "--inception-weights", "given.pth",
        "--batch-size", "2000", "--json",
    ]  # fmt: skip
    assert main(argv) == 0
    found = {r["source"]: r for r in json.loads(capsys.readouterr().out)}
    a = matrix.double().numpy()
    real_mean, real = 119.5 / 255 * a.sum(0), (160**2 - 1) / 12 / 255**2 * a.T @ a
    for source, covariance in covariances(known).items():
        expected = gaussian_distance(a.sum(0) / 2, a.T @ covariance @ a, real_mean, real)
        # A standard deviation has a standard error of 0.3 % in 50,000 samples.
        assert found[source]["scores"]["FID"] == pytest.approx(expected, rel=0.02)
        assert found[source]["warnings"] == []
        assert found[source]["n_real"] == found[source]["n_generated"] == COUNT
    apart = found["generator"]["scores"]["FID"] / found["descriptor"]["scores"]["FID"]
    assert not 0.8 < apart < 1.25  # else the two could be swapped unnoticed


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def network(digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> str:
    """The file of a classifier, the cheapest of the feature networks."""
    file = tmp_path / "small.safetensors"
    save_classifier(train_classifier(digits[0][:300], digits[1][:300], epochs=1), file, 0.5)
    return str(file)


def test_records_hold_scores_and_all_they_depend_on(
    run: Path, known: CoopNets, digit_folder: Path, network: str, capsys: Out,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    known.about["iteration"] = 60  # as the run's own samples hardly differ from each other
    monkeypatch.setattr(CoopNets, "from_pretrained", lambda run, device: known)
    argv = [
        "evaluate", str(run), "--data", str(digit_folder), "--features", network,
        "--samples", "120", "--seed", "3", "--langevin-steps", "2", "--parzen", "--classifier",
        "--json",
    ]  # fmt: skip
    assert main(argv) == 0
    records = json.loads(capsys.readouterr().out)
    assert records == read_records(run)
    assert [(r["source"], r["langevin_steps"]) for r in records] == [
        ("generator", 0), ("descriptor", 2),
    ]  # fmt: skip
    for record in records:
        assert record["extractor"] == "small" and "8x8" in record["resize"]
        assert (record["n_real"], record["n_generated"], record["split"]) == (397, 120, "test")
        assert (record["seed"], record["iteration"]) == (3, 60)
        assert record["coopnets"] and "commit" in record and record["machine"]["torch"]
        assert record["seconds"] > 0 and record["data"] == str(digit_folder)
        names = set(record["scores"])
        assert {"FD (small)", "KID (small)", "IS (small)", "precision", "recall"} <= names
        assert "FID" not in names
        assert set(record["parzen"]) == {"as published", "clean"}
        assert record["parzen"]["clean"]["tested"] == 397
        assert record["parzen"]["clean"]["centres"] == 120
        assert math.isclose(sum(record["classifier"]["histogram"]), 1)
        assert record["classifier"]["accuracy"] > 0.8
        assert any("biased" in w for w in record["warnings"])
        assert any("below 99 %" in w for w in record["warnings"])
        assert any("frozen weights" in w for w in record["warnings"])
    _check_scores(records[1], known.sample(120, seed=3, langevin_steps=2), digit_folder, network)
    _check_scores(records[0], known.generate(120, seed=3), digit_folder, network)


def _check_scores(record: dict[str, Any], images: Tensor, data: Path, network: str) -> None:
    """The scores are those of the very samples that the record names."""
    from coopnets.data import open_images

    real = open_images(data, size=8, channels=1, split="test", say=lambda _: None)
    extractor = features.open_extractor(network)
    ours, logits = features.extract(extractor, [to_pixels(images)])
    theirs, _ = features.extract(extractor, [torch.from_numpy(np.array(real.images))])
    names = scores.score_names("small", False)
    expected = scores.all_scores(ours, logits, theirs, scores.moments(theirs), names)
    assert record["scores"] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_table_shows_both_sources_and_warns(
    run: Path, array: Path, network: str, capsys: Out
) -> None:
    argv = ["evaluate", str(run), "--data", str(array), "--split", "train",
            "--features", network, "--samples", "30"]  # fmt: skip
    assert main(argv) == 0
    out = capsys.readouterr().out
    shown = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    stored = {r["source"]: r for r in read_records(run)}
    for source in ("generator", "descriptor"):
        assert f"{stored[source]['scores']['FD (small)']:.4g}" in shown[source]
    assert "FD (small)" in out and "FID" not in out
    assert "warning" in out and "30 generated and 40 real images" in out
    assert str(run / "evaluation.json") in out
    assert main(argv) == 0
    assert len(read_records(run)) == 4


def test_no_number_is_cut_in_a_narrow_terminal(
    run: Path, digit_folder: Path, network: str, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = Path(network).rename(Path(network).with_name("a-network-of-a-long-name.safetensors"))
    argv = ["evaluate", str(run), "--data", str(digit_folder), "--features", str(long),
            "--samples", "120", "--parzen", "--classifier"]  # fmt: skip
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    for record in read_records(run):
        shown = [f"{value:.4g}" for name, value in record["scores"].items() if "std" not in name]
        for protocol in record["parzen"].values():
            shown += [f"{protocol['log_likelihood']:.1f}", f"± {protocol['standard_error']:.1f}"]
        shown += [f"{100 * share:.1f}" for share in record["classifier"]["histogram"]]
        assert [number for number in shown if number not in out] == []


def fails(capsys: Out, argv: list[str]) -> str:
    capsys.readouterr()
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("coopnets: ") and error.count("\n") == 1
    return error


def test_default_without_weights_names_both_remedies(
    run: Path, array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    error = fails(capsys, ["evaluate", str(run), "--data", str(array), "--split", "train"])
    assert "--features efficientnet-lite0" in error and "--inception-weights FILE" in error


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--samples", "9"], "--samples"),
        (["--batch-size", "0"], "--batch-size"),
        (["--langevin-steps", "-1"], "--langevin-steps"),
        (["--parzen", "--split", "train"], "--split"),
        (["--classifier", "--split", "training"], "--split"),
        (["--features", "resnet"], "resnet"),
        (["--inception-weights", "no/such.pth"], "no/such.pth"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)
def test_impossible_evaluations(
    run: Path, array: Path, capsys: Out, more: list[str], word: str
) -> None:
    assert word in fails(capsys, ["evaluate", str(run), "--data", str(array), *more])


def test_absent_run_split_and_labels(
    run: Path, array: Path, network: str, tmp_path: Path, capsys: Out
) -> None:
    common = ["--data", str(array), "--features", network, "--samples", "20"]
    assert "absent" in fails(capsys, ["evaluate", str(tmp_path / "absent"), *common])
    assert "test" in fails(capsys, ["evaluate", str(run), *common])
    assert read_records(run) == []


def test_damaged_records_stop_it_before_the_work(
    run: Path, array: Path, network: str, capsys: Out
) -> None:
    (run / "evaluation.json").write_text("{")
    argv = ["evaluate", str(run), "--data", str(array), "--split", "train", "--features", network]
    assert "evaluation.json" in fails(capsys, argv)


def test_samples_of_a_diverged_model_are_one_line(
    run: Path, known: CoopNets, array: Path, network: str, capsys: Out,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class Broken(nn.Module):
        latent_shape = (LATENT,)

        def forward(self, z: Tensor) -> Tensor:
            return torch.full((len(z), 1, 8, 8), math.nan)

    known.networks["generator"] = Broken()
    monkeypatch.setattr(CoopNets, "from_pretrained", lambda run, device: known)
    argv = ["evaluate", str(run), "--data", str(array), "--split", "train",
            "--features", network, "--samples", "20"]  # fmt: skip
    capsys.readouterr()
    assert main(argv) == 1
    assert "diverged" in capsys.readouterr().err.splitlines()[-1]
