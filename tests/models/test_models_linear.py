"""The linear part draws what the moving average of the clips draws."""

import numpy as np
import torch

from coopnets.lds import MovingAverage
from coopnets.models.linear import Linear, within_range

STATES, NUMBERS, UNIT, REACH = 3, 4, 2, 3
SHAPE = (3, 4, 5)  # C, H, W


def found() -> MovingAverage:
    rng = np.random.default_rng(0)
    return MovingAverage(
        rng.normal(size=60), rng.normal(size=(60, STATES)),
        rng.normal(size=(UNIT * REACH, STATES, NUMBERS)),
    )  # fmt: skip


def test_frames_are_sums_of_the_pieces_that_latent_numbers_begin() -> None:
    """Piece j begins REACH - 1 positions before the clip does, and they add up."""
    average = found()
    part = Linear(NUMBERS, STATES + 2, (4, 5, 3), UNIT, REACH)  # it has room for more states
    part.begin(average)
    z = np.random.default_rng(1).normal(size=(NUMBERS, 6))
    frames = UNIT * (6 - REACH + 1)
    states = np.zeros((UNIT * (6 + REACH), STATES))
    for j in range(6):
        states[UNIT * j : UNIT * (j + REACH)] += average.taps @ z[:, j]
    states = states[UNIT * (REACH - 1) :][:frames]
    rows = states @ average.c.T + average.mean
    wanted = torch.from_numpy(rows.reshape(frames, *SHAPE)).permute(0, 2, 3, 1).float()
    made = part(torch.from_numpy(z)[None].float())[0]
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)


def test_what_was_begun_is_begun_anew() -> None:
    part = Linear(NUMBERS, STATES + 2, (4, 5, 3), UNIT, REACH)
    z = torch.randn(1, NUMBERS, 5)
    assert torch.equal(part(z), torch.zeros(1, 6, 4, 5, 3))
    for buffer in part.buffers():
        buffer.fill_(7)
    part.begin(found())
    other = Linear(NUMBERS, STATES + 2, (4, 5, 3), UNIT, REACH)
    other.begin(found())
    assert torch.equal(part(z), other(z))


def test_what_goes_beyond_the_range_finds_its_way_back() -> None:
    y = torch.tensor([1.5, -2.0, 0.3, 1.0], requires_grad=True)
    x = within_range(y)
    assert x.tolist() == y.detach().clamp(-1, 1).tolist()
    ((x - 0.5).square().sum() / 2).backward()
    assert y.grad is not None
    assert torch.equal(y.grad, x.detach() - 0.5)
