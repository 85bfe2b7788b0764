"""Runs of every method can be evaluated: a row for each network that samples come from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from coopnets import CoopNets
from coopnets.cli import main
from coopnets.config import SAMPLED_BY
from coopnets.data import ImageData, open_images, to_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate import (
    Extractor,
    Yardstick,
    evaluate,
    evaluate_images,
    read_records,
    trained_judge,
)
from coopnets.evaluate.classifier import Classifier, save_classifier
from coopnets.evaluate.features import extract
from coopnets.evaluate.judge import NAME
from coopnets.evaluate.parzen import clean
from coopnets.evaluate.scores import frechet_distance, moments
from small import train_command

Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of an untrained classifier: a feature network like any other."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("network") / "small.safetensors"
    save_classifier(Classifier(10, 1, 8), file, 0.5)
    return str(file)


@pytest.fixture
def extractor() -> Extractor:
    matrix = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)).double()
    return Extractor("lin", "none", "0", lambda x: (x.flatten(1).double() @ matrix / 255, None))


def quiet(_: str) -> None: ...


@pytest.mark.parametrize("method", [m for m in SAMPLED_BY if m != "coopnets"])
def test_a_method_with_one_network_has_one_row(
    method: str, array: Path, tmp_path: Path, network: str, capsys: Out
) -> None:
    run = tmp_path / "run"
    more = ["--critic.channels", "8", "8", "--critic.kernels", "4", "4",
            "--critic.strides", "2", "2", "--method", method]  # fmt: skip
    assert main(train_command(array, run, *more, "--memory", "0", "--teaching", "0", steps=2)) == 0
    capsys.readouterr()
    argv = ["evaluate", str(run), "--data", str(array), "--split", "train",
            "--features", network, "--samples", "20", "--json"]  # fmt: skip
    assert main(argv) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert read_records(run) == [record]
    (source,) = SAMPLED_BY[method]
    assert (record["source"], record["method"]) == (source, method)
    assert record["langevin_steps"] == (4 if source == "descriptor" else 0)
    assert (record["iteration"], record["preset"]) == (2, "digits")
    model = CoopNets.from_pretrained(run)
    assert record["training_seconds"] == model.about["seconds"] > 0
    expected = _distance(model.sample(20), array, network)
    assert record["scores"]["FD (small)"] == pytest.approx(expected, rel=1e-4)
    if source == "generator":
        assert main([*argv, "--langevin-steps", "3"]) == 1
        assert f"the method {method} has no descriptor" in capsys.readouterr().err
        assert read_records(run) == [record]


def _distance(images: torch.Tensor, array: Path, network: str) -> float:
    from coopnets.evaluate import open_extractor

    real = open_images(array, size=8, channels=1, say=quiet)
    found = [
        extract(open_extractor(network), [pixels])[0]
        for pixels in (to_pixels(images), torch.from_numpy(np.array(real.images)))
    ]
    return frechet_distance(moments(found[0]), moments(found[1]))


def test_only_the_sources_that_there_are(
    model: CoopNets, images: ImageData, extractor: Extractor, tmp_path: Path
) -> None:
    stick = Yardstick(real=images, extractor=extractor, cache_dir=tmp_path)
    found = evaluate(model, stick, samples=20, say=quiet)
    assert [r["source"] for r in found] == ["generator", "descriptor"]
    (one,) = evaluate(model, stick, samples=20, sources=["descriptor"], say=quiet)
    assert one["scores"] == found[1]["scores"] != found[0]["scores"]
    with pytest.raises(CoopNetsError, match="coopnets has no encoder"):
        evaluate(model, stick, samples=20, sources=["encoder"], say=quiet)


def test_images_of_the_training_are_told(
    model: CoopNets, images: ImageData, extractor: Extractor, array: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.npy"
    np.save(other, np.load(array)[::-1])
    unseen = open_images(other, size=8, channels=1, say=quiet)
    for real, told in ((images, True), (unseen, False)):
        stick = Yardstick(real=real, extractor=extractor, cache_dir=tmp_path)
        for record in evaluate(model, stick, samples=12, say=quiet):
            assert any("those of the training" in w for w in record["warnings"]) == told


def test_real_images_in_the_place_of_samples(
    images: ImageData, extractor: Extractor, tmp_path: Path
) -> None:
    """All of a set against itself: no distance, all precise, all recalled."""
    stick = Yardstick(real=images, extractor=extractor, cache_dir=tmp_path)
    record = evaluate_images(images, stick, samples=1000, say=quiet)
    assert (record["source"], record["n_generated"], record["of_split"]) == ("images", 40, "train")
    assert record["scores"]["FD (lin)"] == pytest.approx(0, abs=1e-5)
    assert (record["scores"]["precision"], record["scores"]["recall"]) == (1, 1)
    some = evaluate_images(images, stick, samples=30, say=quiet)
    assert some["n_generated"] == 30 and some["scores"]["FD (lin)"] > 1e-4
    assert (
        evaluate_images(images, stick, samples=30, seed=1, say=quiet)["scores"] != some["scores"]
    )
    assert evaluate_images(images, stick, samples=30, say=quiet)["scores"] == some["scores"]


def test_sigma_is_not_chosen_on_the_centres(
    images: ImageData, extractor: Extractor, tmp_path: Path
) -> None:
    """Around itself an image would ask for the least sigma there is."""
    stick = Yardstick(real=images, extractor=extractor, train=images, cache_dir=tmp_path)
    record = evaluate_images(images, stick, samples=20, say=quiet)
    assert record["parzen"]["clean"]["centres"] == 20
    assert record["parzen"]["clean"]["sigma_on"].startswith("20 training images")
    chosen = np.sort(np.random.default_rng(0).permutation(40)[:20])
    others = np.setdiff1d(np.arange(40), chosen)
    expected = clean(images.batch(chosen), images.images[others], images.images)
    assert record["parzen"]["clean"] == expected.told()
    overlapping = clean(images.batch(chosen), images.images, images.images)
    assert overlapping.sigma < expected.sigma


def test_few_centres_are_told(
    model: CoopNets, images: ImageData, extractor: Extractor, tmp_path: Path
) -> None:
    stick = Yardstick(real=images, extractor=extractor, train=images, cache_dir=tmp_path)
    for record in evaluate(model, stick, samples=12, say=quiet):
        assert any("windows of 12 samples" in w and "10,000" in w for w in record["warnings"])


def test_judge_is_named_after_its_weights(
    digit_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier of the same data trained elsewhere has other features of the same images."""
    from coopnets.evaluate import classifier as module

    monkeypatch.setattr(module, "EPOCHS", 1)
    train, test = (
        open_images(digit_folder, size=8, channels=1, split=s, say=quiet)
        for s in ("train", "test")
    )
    found, usual = [], module.train_classifier
    for place, seed in (("a", 0), ("b", 1)):
        monkeypatch.setenv("COOPNETS_CACHE", str(tmp_path / place))
        with monkeypatch.context() as patch:
            patch.setattr(
                module, "train_classifier", lambda *a, seed=seed, **k: usual(*a, seed=seed, **k)
            )
            found += [trained_judge(train, test, say=quiet) for _ in range(2)]
    assert {j.extractor.name for j in found} == {NAME}
    identities = [j.extractor.identity for j in found]
    assert identities[0] == identities[1] != identities[2] == identities[3]
    assert found[0].accuracy == found[1].accuracy > 0.3


def test_no_such_device_is_one_line(trained: Path, array: Path, network: str, capsys: Out) -> None:
    for device in ("cuda:7", "abacus"):
        argv = ["evaluate", str(trained), "--data", str(array), "--split", "train",
                "--features", network, "--samples", "20", "--device", device]  # fmt: skip
        capsys.readouterr()
        assert main(argv) == 1
        error = capsys.readouterr().err
        assert error.startswith("coopnets: ") and error.count("\n") == 1 and device in error
