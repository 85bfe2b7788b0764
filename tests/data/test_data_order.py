import pytest
import torch

from coopnets.data import batch_indices, mirrored
from coopnets.data.order import _permutation


def stretch(n: int, batch_size: int, batches: int, seed: int = 3) -> torch.Tensor:
    return torch.cat([batch_indices(n, batch_size, i, seed) for i in range(batches)])


@pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (10, 4), (3, 8), (1, 5), (7, 7)])
def test_every_image_exactly_once_an_epoch(n: int, batch_size: int) -> None:
    line = stretch(n, batch_size, batches=n)  # n batches make batch_size whole epochs
    for epoch in line.split(n):
        assert sorted(epoch.tolist()) == list(range(n))


def test_batches_are_always_full() -> None:
    assert all(batch_indices(10, 4, i, 0).shape == (4,) for i in range(20))
    assert batch_indices(3, 8, 5, 0).shape == (8,)


def test_order_differs_between_epochs_and_seeds_and_repeats_for_the_same() -> None:
    first, second = stretch(100, 100, 2).split(100)
    assert not torch.equal(first, second)
    assert not torch.equal(first, stretch(100, 100, 1, seed=4))
    _permutation.cache_clear()
    assert torch.equal(first, stretch(100, 100, 1))


def test_a_batch_does_not_depend_on_those_before_it() -> None:
    expected = stretch(50, 8, 30)[29 * 8 :]
    _permutation.cache_clear()
    assert torch.equal(batch_indices(50, 8, 29, 3), expected)


def test_neighbouring_seeds_do_not_share_epochs() -> None:
    # seed + epoch as the generator's seed would make epoch 1 of seed 0 epoch 0 of seed 1
    assert not torch.equal(batch_indices(100, 100, 1, 0), batch_indices(100, 100, 0, 1))


def test_changing_a_batch_leaves_the_order_alone() -> None:
    batch_indices(10, 10, 0, 0).zero_()
    assert sorted(batch_indices(10, 10, 0, 0).tolist()) == list(range(10))


def test_permutation_is_made_once_an_epoch() -> None:
    _permutation.cache_clear()
    stretch(1000, 10, 100)
    assert _permutation.cache_info().misses == 1


def test_negative_seed_is_a_seed() -> None:
    assert sorted(batch_indices(9, 9, 0, -1).tolist()) == list(range(9))


@pytest.mark.parametrize("arguments", [(0, 4, 0), (4, 0, 0), (4, 4, -1)])
def test_nonsense_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="need"):
        batch_indices(*arguments, seed=0)


def test_mirrors_are_even_and_anew_in_each_batch() -> None:
    turned = torch.stack([mirrored(50, i, 3) for i in range(200)])
    assert abs(float(turned.float().mean()) - 0.5) < 0.02
    assert len({tuple(row.tolist()) for row in turned}) == 200
    assert torch.equal(mirrored(50, 17, 3), turned[17])
    assert not torch.equal(mirrored(50, 17, 4), turned[17])
