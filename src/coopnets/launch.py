"""Joining the group of processes that ``accelerate launch`` started, if it did."""

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from coopnets.processes import Processes


def this_process() -> Processes:
    """This process' device and place: alone, or one of those launched together.

    On CPUs a group forms over gloo only when it is asked for by name.
    """
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu)
    return Processes(state.device, state.process_index, state.num_processes)
