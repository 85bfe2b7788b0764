"""Joining the group of processes that ``accelerate launch`` started, if it did, and leaving it."""

import atexit
import gc
import importlib
from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from coopnets.processes import Processes


def this_process() -> Processes:
    """This process' device and place: alone, or one of those launched together.

    On CPUs a group forms over gloo. The others wait while the first decodes the data, which
    may take hours for a large set.
    """
    # PyTorch imports this when an optimiser is made. Its default arguments then hold on to a group
    # that is there already, whose threads outlive the interpreter: now and then that aborts.
    importlib.import_module("torch.distributed.nn")
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu, timeout=timedelta(hours=6))
    if state.num_processes > 1:
        atexit.register(leave)
    return Processes(state.device, state.process_index, state.num_processes)


def leave() -> None:
    """Leave the group, if there is one, and end its threads."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
        gc.collect()
