"""A descriptor that leads by more than it may lowers its slope."""

import pytest
import torch
from torch import Tensor

from coopnets.chance import Draws
from coopnets.cooperate import between
from test_cooperate import SIMPLE, observed, started

DRAWS = Draws((0,), torch.device("cpu"), 0, 1)
"""For what draws nothing."""


@pytest.mark.parametrize(("s", "unit"), [(0.2, 64 / 0.04), (None, 64 / 0.02)])
@pytest.mark.parametrize(("part", "is_ahead"), [(1.01, True), (0.99, False), (-5.0, False)])
def test_descriptor_that_leads_by_more_than_it_may_lowers_its_slope_too(
    monkeypatch: pytest.MonkeyPatch, s: float | None, unit: float, part: float, is_ahead: bool
) -> None:
    weight = 1.5
    learner = started(**SIMPLE, lead=0.5, slope_weight=weight, langevin={"s": s, "delta": 0.2})
    loss_of, step, taken = learner.descriptor_loss, learner.step, {}

    def ahead(x: Tensor, x_tilde: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taken["seen"] = x, x_tilde
        return loss_of(x, x_tilde)[0], torch.tensor(7 + part * 0.5 * unit), torch.tensor(7.0)

    def stepped(loss: Tensor, t: int, *names: str) -> None:
        if names == ("descriptor",):  # before theta moves
            expected = loss_of(*taken["seen"])[0]
            taken["without"] = expected.detach()
            taken["with"] = (expected + weight * learner.slope(*taken["seen"], DRAWS)).detach()
            taken["loss"] = loss.detach()
        step(loss, t, *names)

    monkeypatch.setattr(learner, "descriptor_loss", ahead)
    monkeypatch.setattr(learner, "step", stepped)
    assert learner.iterate(observed(), 0).metrics["ahead"] == is_ahead
    torch.testing.assert_close(taken["loss"], taken["with" if is_ahead else "without"])
    assert abs(taken["with"] - taken["without"]) > 1e-3 * abs(taken["without"])


def test_slope_is_what_a_step_gains_and_its_gradient_that_of_finite_differences() -> None:
    """To first order f(x + drift) - f(x) is the slope; and theta follows its true gradient."""
    delta = 0.02
    learner = started(langevin={"delta": delta, "s": None})
    f = learner.f.double()
    x, x_tilde = observed(0, 4).double(), observed(1, 4).double()
    both = torch.cat([x, x_tilde]).requires_grad_()
    (drift,) = torch.autograd.grad(f(both).sum(), both)
    with torch.no_grad():
        gained = (f(both + delta**2 / 2 * drift) - f(both)).mean()
    slope = learner.slope(x, x_tilde, DRAWS)
    assert float(slope.detach()) == pytest.approx(float(gained), rel=0.02)

    weight = next(f.parameters())
    (gradient,) = torch.autograd.grad(slope, weight)
    along, found = torch.randn_like(weight), []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(along, alpha=sign * 1e-5)
        found.append(float(learner.slope(x, x_tilde, DRAWS).detach()))
        with torch.no_grad():
            weight.sub_(along, alpha=sign * 1e-5)
    difference = (found[0] - found[1]) / 2e-5
    assert difference == pytest.approx(float((gradient * along).sum()), rel=1e-4)


def test_descriptor_leads_as_it_will_unless_told() -> None:
    assert "ahead" not in started(**SIMPLE).iterate(observed(), 0).metrics


def line(rank: int, world: int, images: int, chains: int) -> tuple[Tensor, Tensor, Tensor]:
    """Data, revisions and points between them of one process."""
    x, x_tilde = observed(0, images)[:, :, :3], observed(1, chains)[:, :, :3] + 2
    mine, revised = x.chunk(world)[rank], x_tilde.chunk(world)[rank]
    points = between(mine, revised, Draws((5, 3), torch.device("cpu"), rank, world))
    return mine, revised, points


@pytest.mark.parametrize(("images", "chains"), [(8, 8), (12, 4), (4, 12), (8, 12)])
def test_points_lie_on_lines_from_each_revision_to_one_of_the_data(
    images: int, chains: int
) -> None:
    x, x_tilde, points = line(0, 1, images, chains)
    ends, parts = [], []
    for point, start in zip(points, x_tilde, strict=True):
        along = (x - start).flatten(1)
        part = (along @ (point - start).flatten()) / along.square().sum(1)
        off = (start.flatten() + part[:, None] * along - point.flatten()).abs().amax(1)
        assert off.min() < 1e-5 < 1e-2 < off.sort().values[1]
        ends.append(int(off.argmin()))
        parts.append(float(part[off.argmin()]))
    assert len(set(ends)) == min(images, chains)
    assert all(0 <= part < 1 for part in parts)
    assert len(set(parts)) == chains


@pytest.mark.parametrize(("images", "chains"), [(8, 8), (12, 4), (4, 12), (8, 12)])
def test_two_processes_draw_the_lines_of_one(images: int, chains: int) -> None:
    whole = line(0, 1, images, chains)[2]
    parts = torch.cat([line(rank, 2, images, chains)[2] for rank in (0, 1)])
    assert torch.equal(parts, whole)


def test_slope_on_the_line_is_that_of_its_points() -> None:
    learner = started(langevin={"delta": 0.3, "s": None}, slope_on="line")
    x, x_tilde = observed(0, 4), observed(1, 4)
    slope = learner.slope(x, x_tilde, Draws((7,), torch.device("cpu"), 0, 1))
    points = between(x, x_tilde, Draws((7,), torch.device("cpu"), 0, 1)).requires_grad_()
    (drift,) = torch.autograd.grad(learner.f(points).sum(), points)
    expected = 0.3**2 / 2 * drift.square().sum() / 4
    torch.testing.assert_close(slope.detach(), expected)
    ends = started(langevin={"delta": 0.3, "s": None}).slope(x, x_tilde, DRAWS)
    assert abs(slope - ends) > 1e-3 * ends
