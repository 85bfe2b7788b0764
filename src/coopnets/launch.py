"""Joining the group of processes that ``accelerate launch`` started, if it did."""

from accelerate import PartialState

from coopnets.processes import Processes


def this_process() -> Processes:
    """This process' device and place: alone, or one of those launched together."""
    state = PartialState()
    return Processes(state.device, state.process_index, state.num_processes)
