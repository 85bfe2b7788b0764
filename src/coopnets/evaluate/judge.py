"""A classifier that labels the samples."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from coopnets.data import ImageData
from coopnets.evaluate.classifier import cached_classifier
from coopnets.evaluate.features import Extractor, classifier_features

NAME = "classifier"


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier as a feature network, and its test accuracy."""

    extractor: Extractor
    accuracy: float


def trained_judge(
    train: ImageData,
    test: ImageData,
    *,
    data_dir: Path | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], None] = print,
) -> Judge:
    """The classifier of a labelled data set, trained once and then found in the cache.

    Args:
        train: all images of the training split.
        test: all images of the split that its accuracy is measured on.
        data_dir: where named data sets are downloaded to.
        device: where to compute.
        say: told how far it is.

    Raises:
        DataError: the data has no labels.
        CoopNetsError: it cannot be written.
    """
    device = torch.device(device)
    classifier, accuracy, file = cached_classifier(
        train, test, data_dir=data_dir, device=device, say=say
    )
    # Of the weights, not of the data: another machine's classifier of the same data is another.
    identity = hashlib.sha256(file.read_bytes()).hexdigest()
    return Judge(classifier_features(classifier, NAME, identity, device), accuracy)
