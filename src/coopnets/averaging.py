"""Exponential moving averages of networks (EMA)."""

import copy

import torch
from torch import nn


def averaged_copy(net: nn.Module) -> nn.Module:
    """A frozen copy of ``net`` in evaluation mode, to hold its moving average."""
    return copy.deepcopy(net).requires_grad_(False).eval()


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float, iteration: int) -> None:
    """average <- decay average + (1 - decay) net, over parameters and running statistics.

    Other buffers, such as the singular vectors of spectral normalisation, are copied. The decay
    grows to its value as (1 + t) / (10 + t), so that the start is soon forgotten.
    """
    decay = min(decay, (1 + iteration) / (10 + iteration))
    mine, theirs = average.state_dict(), net.state_dict()
    moving = [k for k, _ in net.named_parameters()] + [k for k in mine if ".running_" in k]
    for key in mine.keys() - set(moving):
        mine[key].copy_(theirs[key])
    torch._foreach_lerp_([mine[k] for k in moving], [theirs[k] for k in moving], 1 - decay)
