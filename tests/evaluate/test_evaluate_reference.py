"""Features of real images are computed once, and never taken from a damaged file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.data import ImageData
from coopnets.evaluate import Extractor
from coopnets.evaluate.reference import reference, reference_file
from coopnets.evaluate.scores import moments

Make = Callable[..., Extractor]


def quiet(_: str) -> None: ...


def counted(extractor: Extractor, calls: list[int]) -> Extractor:
    def compute(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        calls.append(len(pixels))
        return extractor.compute(pixels)

    return replace(extractor, compute=compute)


def test_computed_once_and_equal(images: ImageData, linear: Make, tmp_path: Path) -> None:
    calls: list[int] = []
    extractor = counted(linear(torch.rand(64, 3)), calls)
    first = reference(images, extractor, cache_dir=tmp_path, say=quiet)
    again = reference(images, extractor, cache_dir=tmp_path, say=quiet)
    assert sum(calls) == len(images)
    by_hand = extractor.compute(torch.from_numpy(np.array(images.images)))[0].float()
    for found in (first, again):
        assert torch.equal(found.features, by_hand)
        assert torch.equal(found.moments.mean, moments(by_hand).mean)
        assert torch.equal(found.moments.covariance, moments(by_hand).covariance)
        assert found.moments.count == len(images)


def cut(content: bytes) -> bytes:
    return content[:-7]


def flip(content: bytes) -> bytes:
    """One bit of one number, which the file's own format does not notice."""
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def garbage(content: bytes) -> bytes:
    return b"\x80\x04garbage"


@pytest.mark.parametrize("damage", [cut, flip, garbage])
def test_damaged_file_is_computed_anew(
    images: ImageData, linear: Make, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    calls: list[int] = []
    extractor = counted(linear(torch.rand(64, 3)), calls)
    first = reference(images, extractor, cache_dir=tmp_path, say=quiet)
    file = reference_file(images, extractor, tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    again = reference(images, extractor, cache_dir=tmp_path, say=quiet)
    assert sum(calls) == 2 * len(images) and torch.equal(again.features, first.features)
    assert torch.equal(again.moments.covariance, first.moments.covariance)
    assert file.read_bytes() == whole  # repaired


def test_key_is_all_that_the_features_depend_on(
    images: ImageData, linear: Make, tmp_path: Path
) -> None:
    extractor = linear(torch.rand(64, 3))
    others = [
        reference_file(images, replace(extractor, name="x"), tmp_path),
        reference_file(images, replace(extractor, identity="x"), tmp_path),
        reference_file(images, replace(extractor, resize="x"), tmp_path),
        reference_file(replace(images, fingerprint="x"), extractor, tmp_path),
        reference_file(replace(images, images=images.images[:9]), extractor, tmp_path),
    ]
    assert len({reference_file(images, extractor, tmp_path), *others}) == 6
    elsewhere = replace(images, source="moved", split="val")  # the same pixels
    assert reference_file(elsewhere, extractor, tmp_path) == reference_file(
        images, extractor, tmp_path
    )


def test_full_disk_costs_the_cache_alone(
    images: ImageData, linear: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coopnets.evaluate.files.os.fsync", full)
    said: list[str] = []
    found = reference(images, linear(torch.rand(64, 3)), cache_dir=tmp_path, say=said.append)
    assert len(found.features) == len(images) and "No space left" in said[-1]
    assert not list((tmp_path / "evaluate").iterdir())
