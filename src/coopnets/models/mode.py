"""Modes of networks for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from coopnets.models.layers import Conv2d
from coopnets.models.metric import Metric
from coopnets.models.time import TimeConv, WholeFrames


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Networks in evaluation mode: running statistics, so that rows do not touch each other."""
    before = [net.training for net in networks]
    try:
        for net in networks:
            net.eval()
        yield
    finally:
        for net, training in zip(networks, before, strict=True):
            net.train(training)


@contextmanager
def wrapped(net: nn.Module) -> Iterator[None]:
    """A network whose convolutions see a picture as a torus: its left edge meets its right."""
    layers = [layer for layer in net.modules() if isinstance(layer, Conv2d)]
    try:
        for layer in layers:
            layer.wrap = True
        yield
    finally:
        for layer in layers:
            layer.wrap = False


@contextmanager
def looped(net: nn.Module) -> Iterator[None]:
    """A network whose convolutions see a clip as a loop: its last frame comes before its first."""
    kinds = TimeConv | WholeFrames | Metric
    layers = [layer for layer in net.modules() if isinstance(layer, kinds)]
    try:
        for layer in layers:
            layer.loop = True
        yield
    finally:
        for layer in layers:
            layer.loop = False


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Networks whose parameters need no gradient, so that none is computed on the way to x."""
    trained = [p for net in networks for p in net.parameters() if p.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
