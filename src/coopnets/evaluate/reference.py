"""Features and moments of real images, computed once and kept on disk."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from coopnets.cachefolder import cache_folder
from coopnets.data import ImageData
from coopnets.evaluate.features import Extractor, extract
from coopnets.evaluate.files import write_whole
from coopnets.evaluate.scores import Moments, moments

LAYOUT = 1  # part of the key: raise it when the file holds something else
TENSORS = ("features", "mean", "covariance")
BATCH = 100


@dataclass(frozen=True, eq=False)
class Reference:
    """Features (N, D), float32, of real images, and their moments."""

    features: Tensor
    moments: Moments


def reference(
    real: ImageData,
    extractor: Extractor,
    *,
    cache_dir: Path | None = None,
    watch: Callable[[Iterator[Tensor]], Iterator[Tensor]] = lambda batches: batches,
    say: Callable[[str], None] = print,
) -> Reference:
    """Features of all images of a set, from the cache if they are there.

    The key is the fingerprint of the pixels, the feature network with its weights and resize,
    and the number of images. A damaged file is computed anew.

    Args:
        real: the images.
        extractor: the feature network.
        cache_dir: where they are kept; by default below the cache of decoded images.
        watch: wraps the batches, to tell how far it is.
        say: told what was computed.
    """
    file = reference_file(real, extractor, cache_dir)
    found = _read(file, len(real))
    if found is not None:
        return found
    features, _ = extract(extractor, watch(_batches(real)))
    computed = Reference(features, moments(features))
    try:
        write_whole(file, _packed(computed))
        say(f"kept the {extractor.name} features of {len(real):,} real images in {file}")
    except OSError as error:  # they are only a saving of time
        say(f"cannot keep features in {file}: {error.strerror}")
    return computed


def reference_file(real: ImageData, extractor: Extractor, cache_dir: Path | None = None) -> Path:
    """Where the features of a set are kept."""
    key = json.dumps(
        [LAYOUT, real.fingerprint, extractor.name, extractor.identity, extractor.resize, len(real)]
    )
    name = hashlib.blake2b(key.encode(), digest_size=10).hexdigest()
    return (cache_dir or cache_folder()) / "evaluate" / f"features-{name}.safetensors"


def _batches(real: ImageData) -> Iterator[Tensor]:
    for start in range(0, len(real), BATCH):
        yield torch.from_numpy(real.images[start : start + BATCH].copy())


def _packed(reference: Reference) -> bytes:
    tensors = {
        "features": reference.features.contiguous(),
        "mean": reference.moments.mean,
        "covariance": reference.moments.covariance,
    }
    return save(tensors, {"digest": _digest(tensors)})


def _read(file: Path, count: int) -> Reference | None:
    """What the file holds, or None if it is missing or damaged."""
    try:
        with safe_open(file, "pt") as opened:
            digest = (opened.metadata() or {}).get("digest")
            tensors = {name: opened.get_tensor(name) for name in TENSORS}
    except (OSError, SafetensorError):
        return None
    # safetensors notices a file cut short, but not a flipped bit.
    if digest != _digest(tensors) or len(tensors["features"]) != count:
        return None
    return Reference(tensors["features"], Moments(tensors["mean"], tensors["covariance"], count))


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in TENSORS:
        digest.update(np.ascontiguousarray(tensors[name].numpy()).data)
    return digest.hexdigest()
