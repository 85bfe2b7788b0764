"""What the training loop needs of a method, and its whole state as named tensors."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.config import Config
from coopnets.errors import RunError
from coopnets.memory import Memory
from coopnets.optimize import load_state
from coopnets.processes import Processes


@dataclass(frozen=True)
class Iteration:
    """What one iteration made, for the log and for whoever looks on."""

    metrics: dict[str, float]
    x_hat: Tensor
    """Where the samples began: the generator's proposals, or the starts of chains."""
    x_tilde: Tensor
    """Finished samples; the same tensor where nothing revises them."""


class Learner(Protocol):
    """A method in training: cooperative learning, or one compared with it."""

    config: Config
    processes: Processes
    networks: dict[str, nn.Module]
    averages: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    memory: Memory
    extras: dict[str, Tensor]
    """What else the next iteration depends on, by name; changed in place only."""
    images: int
    """Observed images of an iteration, over all processes; a multiple of the batch size."""
    step_scale: float
    """Factor on Langevin steps."""
    rate_scale: float
    """Factor on learning rates; each roll-back halves it."""
    halves_step: bool
    """Whether a roll-back halves ``step_scale`` too."""
    advice: str
    """What to change if roll-backs do not help."""

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """One iteration on this process' observed images."""
        ...

    def show(self, count: int) -> tuple[Tensor, ...]:
        """Samples for the pictures of a run, the same ones every time.

        Proposals and revisions, or the samples alone where nothing revises them.
        """
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
    tensors |= {f"extra.{name}": value for name, value in learner.extras.items()}
    return tensors


def state_numbers(learner: Learner) -> dict[str, Any]:
    """The rest of the state: plain numbers."""
    return {
        "step_scale": learner.step_scale,
        "rate_scale": learner.rate_scale,
        "remembered": learner.memory.written,
    }


def restore(learner: Learner, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Bring a learner to a stored state.

    Raises:
        RunError: its networks are of another kind.
    """
    for kind, networks in (("network", learner.networks), ("average", learner.averages)):
        for name, net in networks.items():
            try:
                net.load_state_dict(_under(tensors, f"{kind}.{name}."))
            except RuntimeError as error:
                raise RunError(
                    f"the checkpoint does not fit the {name} of these settings: the run is of an "
                    "older version; begin anew with --fresh, or in another --run"
                ) from error
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
    for name, value in learner.extras.items():
        value.copy_(tensors[f"extra.{name}"])
    memory.written = numbers["remembered"]
    learner.step_scale = numbers["step_scale"]
    # Older checkpoints have one number for both.
    learner.rate_scale = numbers.get("rate_scale", learner.step_scale)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
