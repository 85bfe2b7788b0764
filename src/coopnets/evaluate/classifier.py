"""A small convolutional classifier of digits, and what it says of generated ones."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from coopnets.cachefolder import cache_folder
from coopnets.chance import stream
from coopnets.data import ImageData
from coopnets.data.labels import labels_of
from coopnets.errors import CoopNetsError
from coopnets.evaluate.files import write_whole
from coopnets.evaluate.scores import frechet_distance, moments
from coopnets.precision import autocast, resolve

KIND = "coopnets classifier"
RECIPE = 1  # part of the cache key: raise it when training gives another network
WIDTH = 32
FEATURES = 128
EPOCHS = 4
BATCH = 128
RATE = 4e-3
SHIFT = 2
WANTED = 0.99
"""Test accuracy below which what it says of samples means little."""
PRESENT = 0.01
"""Share of the samples from which on a class counts as present."""


class Classifier(nn.Module):
    """Two convolutions and a dense layer, each normalised over the batch; 0.4 million weights.

    Args:
        classes: number of classes.
        channels: 1 or 3.
        size: side of the images, at least 4.
    """

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.classes, self.channels, self.size = classes, channels, size
        self.body = nn.Sequential(
            nn.Conv2d(channels, WIDTH, 5, padding=2, bias=False),
            nn.MaxPool2d(2), nn.BatchNorm2d(WIDTH), nn.ReLU(),
            nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1, bias=False),
            nn.MaxPool2d(2), nn.BatchNorm2d(2 * WIDTH), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * WIDTH * (size // 4) ** 2, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 128) and logits (N, classes) of images (N, C, H, W) in [0, 255]."""
        features = self.body(pixels.float() / 127.5 - 1)
        return features, self.head(features)


def train_classifier(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> Classifier:
    """Train on labelled images, shifted by up to two pixels at random.

    Adam with one cycle of the learning rate (Smith and Topin 2017, arXiv 1708.07120), in bf16
    where the hardware has it.

    Args:
        images: uint8 (N, C, H, W), H equal to W.
        labels: integers (N,) in 0..K-1.
        epochs: passes over the images.
        seed: of the weights and of the order.
        device: where to compute.
        say: told how far it is.

    Raises:
        CoopNetsError: images and labels do not fit each other.
    """
    if len(images) != len(labels) or not len(labels) or labels.min() < 0:
        raise CoopNetsError(
            f"{len(images):,} images and {len(labels):,} labels from 0 on do not fit"
        )
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Classifier(int(labels.max()) + 1, images.shape[1], images.shape[2])
    net.to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    steps = max(1, len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps * epochs)
    chance = stream(seed)
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=chance)
        total = 0.0
        batches = order.chunk(steps)  # none of them of one image, which has no batch statistics
        for chosen in batches:
            x = torch.from_numpy(images[np.sort(chosen.numpy())])
            y = torch.from_numpy(labels[np.sort(chosen.numpy())]).long()
            loss = _step(net, _shifted(x, chance).to(device), y.to(device))
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            total += loss
        say(f"classifier: epoch {epoch + 1} of {epochs}, loss {total / len(batches):.4f}")
    return net.eval().requires_grad_(False)


def accuracy(classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images (N, C, H, W), uint8, whose label it finds."""
    device = next(classifier.parameters()).device
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), 1000):
            part = torch.from_numpy(np.array(images[start : start + 1000])).to(device)
            found = classifier(part)[1].argmax(1).cpu().numpy()
            right += int((found == labels[start : start + 1000]).sum())
    return right / len(images)


def save_classifier(classifier: Classifier, file: Path, test_accuracy: float) -> None:
    """Write a safetensors file, whole or not at all.

    Raises:
        CoopNetsError: it cannot be written.
    """
    about = {
        "kind": KIND, "classes": str(classifier.classes), "channels": str(classifier.channels),
        "size": str(classifier.size), "accuracy": repr(test_accuracy),
    }  # fmt: skip
    state = {k: v.cpu().contiguous() for k, v in classifier.state_dict().items()}
    try:
        write_whole(file, save(state, about))
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror}") from error


def load_classifier(file: Path) -> Classifier:
    """Read what :func:`save_classifier` wrote; nothing in the file is ever run.

    Raises:
        CoopNetsError: it is missing, damaged or something else.
    """
    return _loaded(file)[0]


def cached_classifier(
    train: ImageData,
    test: ImageData,
    *,
    cache_dir: Path | None = None,
    data_dir: Path | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], None] = print,
) -> tuple[Classifier, float, Path]:
    """The classifier of a data set: trained once, then found in the cache.

    Args:
        train: labelled images to learn from.
        test: labelled images to measure its accuracy on.
        cache_dir: where it is kept; by default below the cache of decoded images.
        data_dir: where named data sets are downloaded to.
        device: where to compute.
        say: told how far training is.

    Returns:
        The classifier, its accuracy on ``test``, and its file.

    Raises:
        DataError: the data has no labels.
        CoopNetsError: it cannot be written.
    """
    key = hashlib.blake2b(
        f"{RECIPE} {EPOCHS} {train.fingerprint} {test.fingerprint}".encode(), digest_size=10
    ).hexdigest()
    file = (cache_dir or cache_folder()) / "evaluate" / f"classifier-{key}.safetensors"
    if file.exists():
        try:
            return *_loaded(file), file
        except CoopNetsError as error:
            say(f"{error}; training another")
    labels, held_out = labels_of(train, data_dir=data_dir), labels_of(test, data_dir=data_dir)
    classifier = train_classifier(train.images, labels, device=device, say=say)
    found = accuracy(classifier, test.images, held_out)
    say(f"classifier: {100 * found:.2f} % right on {len(test):,} test images, kept in {file}")
    save_classifier(classifier, file, found)
    return classifier, found, file


def check(logits: Tensor, features: Tensor, real_features: Tensor) -> dict[str, Any]:
    """What a classifier says of samples.

    Args:
        logits: of the samples, (N, K).
        features: of the samples, (N, D).
        real_features: of real images, (M, D).

    Returns:
        ``histogram`` (share of each class), ``classes_present`` (classes with at least 1 % of
        the samples), ``confidence`` (mean probability of the most likely class) and
        ``frechet_distance`` in the classifier's own features.

    Raises:
        CoopNetsError: too few images, or numbers that are not finite.
    """
    classes = logits.shape[1]
    histogram = torch.bincount(logits.argmax(1), minlength=classes).double() / len(logits)
    return {
        "histogram": histogram.tolist(),
        "classes_present": int((histogram >= PRESENT).sum()),
        "confidence": float(logits.double().softmax(1).amax(1).mean()),
        "frechet_distance": frechet_distance(moments(features), moments(real_features)),
    }


def _step(net: Classifier, x: Tensor, y: Tensor) -> float:
    """Gradients of the cross entropy of one batch; returns the loss."""
    with autocast(resolve("auto", x.device), x.device):
        logits = net(x.contiguous(memory_format=torch.channels_last))[1]
    loss = functional.cross_entropy(logits.float(), y)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _shifted(x: Tensor, chance: torch.Generator) -> Tensor:
    """A batch moved by up to two pixels, its edges repeated: cheap, and it generalises better."""
    down, right = torch.randint(2 * SHIFT + 1, (2,), generator=chance).tolist()
    height, width = x.shape[2:]
    padded = functional.pad(x.float(), [SHIFT] * 4, mode="replicate")
    return padded[:, :, down : down + height, right : right + width]


def _loaded(file: Path) -> tuple[Classifier, float]:
    try:
        with safe_open(file, "pt") as opened:
            about = opened.metadata() or {}
            state = {k: opened.get_tensor(k) for k in opened.keys()}  # noqa: SIM118
        if about.get("kind") != KIND:
            raise ValueError("it is something else")
        sizes = (int(about[k]) for k in ("classes", "channels", "size"))
        classifier = Classifier(*sizes)
        classifier.load_state_dict(state)
        found = float(about["accuracy"])
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CoopNetsError(f"{file} is no classifier saved by coopnets: {reason}") from error
    return classifier.eval().requires_grad_(False), found
