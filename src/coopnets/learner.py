"""What the training loop needs of a method, and its whole state as named tensors."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.config import Config
from coopnets.memory import Memory
from coopnets.optimize import load_state
from coopnets.processes import Processes


@dataclass(frozen=True)
class Iteration:
    """What one iteration made, for the log and the pictures."""

    metrics: dict[str, float]
    x_hat: Tensor
    x_tilde: Tensor


class Learner(Protocol):
    """A method in training: cooperative learning, or one compared with it."""

    config: Config
    processes: Processes
    networks: dict[str, nn.Module]
    averages: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    memory: Memory
    step_scale: float

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """One iteration on this process' observed images."""
        ...

    def show(self, count: int) -> tuple[Tensor, Tensor]:
        """Proposals and revisions for the pictures of a run: the same samples every time."""
        ...


def state_tensors(learner: Learner) -> dict[str, Tensor]:
    """Every number that the next iteration depends on, memory gathered over processes."""
    tensors = {}
    for kind, networks in (("network", learner.networks), ("average", learner.averages)):
        for name, net in networks.items():
            for key, value in net.state_dict().items():
                tensors[f"{kind}.{name}.{key}"] = value
    for name, optimizer in learner.optimizers.items():
        for index, slots in optimizer.state_dict()["state"].items():
            for key, value in slots.items():
                tensors[f"optimizer.{name}.{index}.{key}"] = value
    if len(learner.memory.z):
        tensors["memory.z"] = learner.processes.gather(learner.memory.z, axis=1)
        tensors["memory.x"] = learner.processes.gather(learner.memory.x, axis=1)
    return tensors


def state_numbers(learner: Learner) -> dict[str, Any]:
    """The rest of the state: plain numbers."""
    return {"step_scale": learner.step_scale, "remembered": learner.memory.written}


def restore(learner: Learner, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Bring a learner to a stored state."""
    for kind, networks in (("network", learner.networks), ("average", learner.averages)):
        for name, net in networks.items():
            net.load_state_dict(_under(tensors, f"{kind}.{name}."))
    for name, optimizer in learner.optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, f"optimizer.{name}.").items():
            index, slot = key.split(".")
            state.setdefault(int(index), {})[slot] = value
        load_state(optimizer, state)
    memory, processes = learner.memory, learner.processes
    if len(memory.z):
        memory.z.copy_(processes.mine(tensors["memory.z"].transpose(0, 1)).transpose(0, 1))
        memory.x.copy_(processes.mine(tensors["memory.x"].transpose(0, 1)).transpose(0, 1))
    memory.written = numbers["remembered"]
    learner.step_scale = numbers["step_scale"]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
