"""Arithmetic inside the networks: fp32, or bf16 where the hardware has it."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

from coopnets.config import Precision


def resolve(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """What ``auto`` means on this device: bf16 where it is native, else fp32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # PyTorch has no public name for these two; a build without them is taken to have neither.
    probes = (
        getattr(torch.cpu, f"_is_{unit}_supported", bool) for unit in ("avx512_bf16", "amx_tile")
    )
    return "bf16" if device.type == "cpu" and any(has() for has in probes) else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Context in which convolutions and dense layers run in ``precision``.

    States, noise and Langevin updates stay outside it, in fp32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
