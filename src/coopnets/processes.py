"""This process among the others: device, share of the batch, sums over all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from coopnets.chance import Draws
from coopnets.errors import CoopNetsError


class Processes:
    """One process, or the group that ``accelerate launch`` started.

    Args:
        device: where this process computes.
        rank: 0 to world - 1.
        world: number of processes.
    """

    def __init__(self, device: torch.device | str = "cpu", rank: int = 0, world: int = 1) -> None:
        self.device, self.rank, self.world = torch.device(device), rank, world

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def share(self, total: int, what: str) -> int:
        """Rows of ``total`` that are this process' own.

        Raises:
            CoopNetsError: the rows cannot be shared out equally.
        """
        if total % self.world:
            raise CoopNetsError(
                f"{total} {what} cannot be shared equally by {self.world} processes: "
                f"choose a multiple of {self.world}"
            )
        return total // self.world

    def mine(self, rows: Tensor) -> Tensor:
        """This process' part of rows that all processes hold."""
        return rows if self.world == 1 else rows.chunk(self.world)[self.rank]

    def draws(self, *key: int) -> Draws:
        """The random numbers named by ``key``, of which this process keeps its rows."""
        return Draws(key, self.device, self.rank, self.world)

    def mean(self, values: Tensor) -> Tensor:
        """Average over processes, without gradient."""
        if self.world == 1:
            return values
        total = values.detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def gather(self, rows: Tensor, axis: int = 0) -> Tensor:
        """The rows of all processes along ``axis``, in order."""
        if self.world == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.world)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts, axis)

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any process; the same answer on all."""
        return bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def wait(self) -> None:
        """Let all processes come to this point."""
        if self.world > 1:
            dist.barrier()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process pass the block before the others enter it."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace each gradient by its average over processes: one message for all of them."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for g, mean in zip(
            gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True
        ):
            g.copy_(mean.view_as(g))
