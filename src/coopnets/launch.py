"""Joining the group of processes that ``accelerate launch`` started, if it did."""

from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from coopnets.processes import Processes


def this_process() -> Processes:
    """This process' device and place: alone, or one of those launched together.

    On CPUs a group forms over gloo. The others wait while the first decodes the data, which
    may take hours for a large set.
    """
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu, timeout=timedelta(hours=6))
    return Processes(state.device, state.process_index, state.num_processes)
