"""The classifier learns real digits, is kept, and says of samples what is so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from coopnets.data import open_images
from coopnets.errors import CoopNetsError
from coopnets.evaluate import classifier as module
from coopnets.evaluate.classifier import (
    Classifier,
    accuracy,
    cached_classifier,
    check,
    load_classifier,
    save_classifier,
    train_classifier,
)

Digits = tuple[np.ndarray, np.ndarray]


def test_training_learns_digits(digits: Digits) -> None:
    images, labels = digits
    untrained = Classifier(10, 1, 8).eval()
    assert accuracy(untrained, images[1400:], labels[1400:]) < 0.5
    net = train_classifier(images[:1400], labels[:1400], epochs=6)
    assert accuracy(net, images[1400:], labels[1400:]) > 0.8
    assert not net.training and not any(p.requires_grad for p in net.parameters())


def test_training_repeats_and_leaves_the_global_stream_alone(digits: Digits) -> None:
    images, labels = digits[0][:256], digits[1][:256]
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, second = (train_classifier(images, labels, epochs=1, seed=1) for _ in range(2))
    other = train_classifier(images, labels, epochs=1, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_accuracy_counts(digits: Digits) -> None:
    images, labels = digits
    net = train_classifier(images[:300], labels[:300], epochs=1)
    with torch.inference_mode():
        found = net(torch.from_numpy(images))[1].argmax(1).numpy()
    assert accuracy(net, images, found) == 1
    found[:599] = (found[:599] + 1) % 10
    assert accuracy(net, images, found) == pytest.approx(1198 / 1797)


@pytest.mark.parametrize("channels", [1, 3])
def test_saved_and_loaded_it_is_the_same(tmp_path: Path, channels: int) -> None:
    net = Classifier(7, channels, 12).eval()
    save_classifier(net, tmp_path / "folder" / "c.safetensors", 0.25)
    again = load_classifier(tmp_path / "folder" / "c.safetensors")
    x = torch.randint(256, (4, channels, 12, 12), dtype=torch.uint8)
    assert torch.equal(again(x)[1], net(x)[1]) and not again.training
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["c.safetensors"]


def test_tensors_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CoopNetsError, match="something else"):
        load_classifier(tmp_path / "x.safetensors")


def test_trained_once_for_each_data_set(
    digit_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(images: np.ndarray, labels: np.ndarray, **_: object) -> Classifier:
        calls.append(len(images))
        return train_classifier(images, labels, epochs=1)

    monkeypatch.setattr(module, "train_classifier", counted)
    said: list[str] = []
    train, test = (
        open_images(digit_folder, size=8, channels=1, split=s, say=said.append)
        for s in ("train", "test")
    )

    def get() -> tuple[Classifier, float, Path]:
        return cached_classifier(train, test, cache_dir=tmp_path, say=said.append)

    net, found, file = get()
    again, same, _ = get()
    assert calls == [1400] and same == found > 0.3
    assert torch.equal(net.head.weight, again.head.weight)
    file.write_bytes(file.read_bytes()[:-9])
    _, repaired, _ = get()
    assert calls == [1400, 1400] and repaired == found
    cached_classifier(test, test, cache_dir=tmp_path, say=said.append)
    cached_classifier(train, train, cache_dir=tmp_path, say=said.append)
    assert calls == [1400, 1400, 397, 1400]  # other images, another classifier


def test_check_says_what_is_so() -> None:
    """980 samples of class 2, 15 of class 0 and 5 of class 1, which is too few."""
    classes = torch.tensor([2] * 980 + [0] * 15 + [1] * 5)
    logits = torch.zeros(1000, 4)
    logits[torch.arange(1000), classes] = float(np.log(3))  # probability 3 / 6
    features = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0))
    found = check(logits, features, features + 2)
    assert found["histogram"] == pytest.approx([0.015, 0.005, 0.98, 0])
    assert found["classes_present"] == 2 and found["confidence"] == pytest.approx(0.5)
    assert found["frechet_distance"] == pytest.approx(5 * 2**2, rel=1e-5)


def test_labels_must_fit(digits: Digits) -> None:
    images, labels = digits
    for wrong in (labels[:-1], labels - 1, labels[:0]):
        with pytest.raises(CoopNetsError, match="do not fit"):
            train_classifier(images, wrong)
