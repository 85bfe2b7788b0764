import pytest
import torch

from coopnets.chance import Draws, per_sample, stream

CPU = torch.device("cpu")


def first(*key: int) -> float:
    return float(torch.randn(1, generator=stream(*key)))


def test_streams_are_named_by_their_key_alone() -> None:
    before = first(3, 1)
    torch.manual_seed(5)
    assert first(3, 1) == before
    keys = [(0,), (1,), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0), (2**40, 3)]
    assert len({first(*key) for key in keys}) == len(keys)


def test_samples_and_iterations_have_streams_of_their_own() -> None:
    """Sample i of a seed must not begin with the latent vectors that iteration i trained on."""
    z = Draws((3, 5, 0), CPU, 0, 1).normal(4, 16)
    sampled = torch.randn(16, generator=per_sample(3, 5, 1)[0])
    assert not torch.equal(z[0], sampled)


def test_neighbouring_streams_are_unrelated() -> None:
    rows = torch.stack([torch.randn(500, generator=stream(0, i)) for i in range(40)])
    off = rows.corrcoef() - torch.eye(40)
    assert float(off.abs().max()) < 0.25
    assert float(rows.mean()) == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_draw_together_what_one_would(world: int) -> None:
    def parts(kind: str) -> list[torch.Tensor]:
        found = []
        for rank in range(world):
            draws = Draws((1, 2), CPU, rank, world)
            z, like = draws.normal(6, 4), draws.like(torch.zeros(6 // world, 2, 2))
            found.append({"z": z, "like": like, "i": draws.integers(100, 6)}[kind])
        return found

    alone = Draws((1, 2), CPU, 0, 1)
    assert torch.equal(torch.cat(parts("z")), alone.normal(6, 4))
    assert torch.equal(torch.cat(parts("like")), alone.like(torch.zeros(6, 2, 2)))
    assert torch.equal(torch.cat(parts("i")), alone.integers(100, 6))


def test_samples_have_streams_by_number() -> None:
    def numbers(start: int, count: int) -> list[float]:
        return [float(torch.randn(1, generator=s)) for s in per_sample(7, start, count)]

    assert numbers(0, 10)[4:7] == numbers(4, 3)
    assert len(set(numbers(0, 10))) == 10
