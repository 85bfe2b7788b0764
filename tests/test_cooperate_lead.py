"""A descriptor that leads by more than it may lowers its slope."""

import pytest
import torch
from torch import Tensor

from test_cooperate import SIMPLE, observed, started


@pytest.mark.parametrize(("s", "unit"), [(0.2, 64 / 0.04), (None, 64 / 0.02)])
@pytest.mark.parametrize(("part", "is_ahead"), [(1.01, True), (0.99, False), (-5.0, False)])
def test_descriptor_that_leads_by_more_than_it_may_lowers_its_slope_too(
    monkeypatch: pytest.MonkeyPatch, s: float | None, unit: float, part: float, is_ahead: bool
) -> None:
    learner = started(**SIMPLE, lead=0.5, langevin={"s": s, "delta": 0.2})
    loss_of, step, taken = learner.descriptor_loss, learner.step, {}

    def ahead(x: Tensor, x_tilde: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taken["seen"] = x, x_tilde
        return loss_of(x, x_tilde)[0], torch.tensor(7 + part * 0.5 * unit), torch.tensor(7.0)

    def stepped(loss: Tensor, t: int, *names: str) -> None:
        if names == ("descriptor",):  # before theta moves
            expected = loss_of(*taken["seen"])[0]
            taken["without"] = expected.detach()
            taken["with"] = (expected + learner.slope(*taken["seen"])).detach()
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
    slope = learner.slope(x, x_tilde)
    assert float(slope.detach()) == pytest.approx(float(gained), rel=0.02)

    weight = next(f.parameters())
    (gradient,) = torch.autograd.grad(slope, weight)
    along, found = torch.randn_like(weight), []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(along, alpha=sign * 1e-5)
        found.append(float(learner.slope(x, x_tilde).detach()))
        with torch.no_grad():
            weight.sub_(along, alpha=sign * 1e-5)
    difference = (found[0] - found[1]) / 2e-5
    assert difference == pytest.approx(float((gradient * along).sum()), rel=1e-4)


def test_descriptor_leads_as_it_will_unless_told() -> None:
    assert "ahead" not in started(**SIMPLE).iterate(observed(), 0).metrics
