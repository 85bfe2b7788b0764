"""Evaluation mode for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


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
