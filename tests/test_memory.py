import torch

from coopnets.chance import Draws
from coopnets.memory import Memory

CPU = torch.device("cpu")


def filled(iterations: int, depth: int = 3, chains: int = 4) -> Memory:
    """z and x both say which iteration and which chain they come from."""
    memory = Memory(depth, chains, (2,), (1, 2, 2), CPU)
    for i in range(iterations):
        label = (i * chains + torch.arange(chains)).float()
        memory.add(label[:, None].expand(-1, 2), label[:, None, None, None].expand(-1, 1, 2, 2))
    return memory


def test_pairs_stay_pairs() -> None:
    memory = filled(3)
    for seed in range(20):
        z, x = memory.recall(Draws((seed,), CPU, 0, 1))
        assert z.shape == (4, 2) and x.shape == (4, 1, 2, 2)
        assert torch.equal(z[:, 0], x[:, 0, 0, 0])


def test_every_remembered_iteration_comes_back_and_no_other() -> None:
    def recalled(iterations: int) -> set[int]:
        memory = filled(iterations)
        return {
            int(v) // 4 for s in range(60) for v in memory.recall(Draws((s,), CPU, 0, 1))[0][:, 0]
        }

    assert recalled(1) == {0}
    assert recalled(2) == {0, 1}
    assert recalled(3) == {0, 1, 2}
    assert recalled(5) == {2, 3, 4}


def test_images_keep_more_than_eight_bits() -> None:
    memory, x = Memory(1, 1, (1,), (1, 64, 64), CPU), torch.rand(1, 1, 64, 64) * 2 - 1
    memory.add(torch.zeros(1, 1), x)
    _, recalled = memory.recall(Draws((0,), CPU, 0, 1))
    assert recalled.dtype == torch.float32
    assert float((recalled - x).abs().max()) < 1 / 255 / 4


def test_processes_recall_what_one_would() -> None:
    whole = filled(3)
    together = whole.recall(Draws((5,), CPU, 0, 1))[0]
    parts = []
    for rank in range(2):
        half = Memory(3, 2, (2,), (1, 2, 2), CPU)
        half.z, half.x = whole.z[:, 2 * rank : 2 * rank + 2], whole.x[:, 2 * rank : 2 * rank + 2]
        half.written = 3
        parts.append(half.recall(Draws((5,), CPU, rank, 2))[0])
    assert torch.equal(torch.cat(parts), together)
