"""The revision against the exact law of its own discretisation, and against its formula."""

import math

import pytest
import torch
from torch import Tensor

from coopnets import langevin
from coopnets.langevin import revise, step_sizes
from coopnets.models import Descriptor, energy
from small import CONFIG, snapshot


def quadratic(a: float, m: float) -> object:
    """f(x) = -a/2 |x - m|^2."""
    return lambda x: -0.5 * a * (x - m).square().flatten(1).sum(1)


def nothing(x: Tensor) -> Tensor:
    return 0 * x.flatten(1).sum(1)


@pytest.fixture
def f() -> Descriptor:
    torch.manual_seed(0)
    return Descriptor(CONFIG.descriptor, 8, 1)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("s", [None, 0.8])
@pytest.mark.parametrize("tau", [1.0, 0.5])
@pytest.mark.parametrize("steps", [1, 3, 80])
def test_law_on_a_gaussian_energy(s: float | None, tau: float, steps: int) -> None:
    """On U = lambda/2 (x - mu)^2 + const the chain is autoregressive, its moments known exactly.

    With rho = 1 - delta^2 lambda / 2 the mean is mu + rho^n (x_0 - mu) and the variance
    tau^2 delta^2 (1 - rho^2n) / (1 - rho^2); after 80 steps both are the stationary ones.
    """
    a, m, delta, x_0, number = 1.5, 0.7, 0.5, -1.0, 400_000
    precision = a + (1 / s**2 if s else 0)
    mu, rho = a * m / precision, 1 - 0.5 * delta**2 * precision
    mean = mu + rho**steps * (x_0 - mu)
    variance = tau**2 * delta**2 * (1 - rho ** (2 * steps)) / (1 - rho**2)
    start = torch.full((number // 100, 1, 10, 10), x_0)
    end, _ = revise(
        quadratic(a, m), start, steps=steps, delta=delta, s=s, tau=tau,
        noise=torch.Generator().manual_seed(steps),
    )  # fmt: skip
    end = end.double()
    assert abs(float(end.mean()) - mean) < 5 * math.sqrt(variance / number)
    assert float(end.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / number))


def test_small_steps_tend_to_the_energy_itself() -> None:
    """As delta falls, the stationary variance tends to 1 / (a + 1/s^2): the target exp(-U)."""
    a, s, delta = 4.0, 0.5, 0.1
    start = torch.randn(2000, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    end, _ = revise(
        quadratic(a, 0.0), start / math.sqrt(8), steps=150, delta=delta, s=s,
        noise=torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert float(end.var()) == pytest.approx(1 / (a + 1 / s**2), rel=0.04)


@pytest.mark.parametrize("s", [None, 0.016])
def test_one_step_without_noise_is_the_formula(f: Descriptor, x: Tensor, s: float | None) -> None:
    delta, point = 0.002, x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(point).sum(), point)
    pull = x.double() / s**2 if s else 0.0
    expected = x.double() - delta**2 / 2 * (pull - slope.double())
    revised, _ = revise(f, x, steps=1, delta=delta, s=s, tau=0.0)
    torch.testing.assert_close(revised.double(), expected, rtol=0, atol=1.2e-7)
    assert (revised != x).any()


def test_gradient_enters_with_its_own_weight() -> None:
    """f of slope 1000 everywhere moves every pixel by delta^2/2 x 1000 a step, upwards."""
    x = torch.zeros(2, 1, 3, 3)
    revised, _ = revise(lambda y: 1000 * y.flatten(1).sum(1), x, steps=3, delta=0.02, tau=0.0)
    torch.testing.assert_close(revised, torch.full_like(x, 3 * 0.02**2 / 2 * 1000))


@pytest.mark.parametrize("tau", [1.0, 0.25, 0.0])
@pytest.mark.parametrize("delta", [0.002, 0.3])
def test_noise_is_tau_delta_times_standard_normal(tau: float, delta: float) -> None:
    e = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(7))
    revised, _ = revise(
        nothing, torch.zeros(3, 1, 4, 4), steps=1, delta=delta, tau=tau,
        noise=torch.Generator().manual_seed(7),
    )  # fmt: skip
    torch.testing.assert_close(revised, tau * delta * e)


def test_noise_scale_leaves_the_drift_alone(f: Descriptor, x: Tensor) -> None:
    revised = {
        tau: revise(f, x, steps=1, delta=0.1, s=0.5, tau=tau, noise=torch.ones_like)[0]
        for tau in (0.0, 1.0, 2.0)
    }
    torch.testing.assert_close(revised[1.0] - revised[0.0], torch.full_like(x, 0.1))
    torch.testing.assert_close(revised[2.0] - revised[0.0], torch.full_like(x, 0.2))


def test_generator_decides_the_noise(f: Descriptor, x: Tensor) -> None:
    def run(seed: int) -> Tensor:
        torch.manual_seed(seed + 100)  # must not matter
        return revise(f, x, steps=3, delta=0.01, noise=torch.Generator().manual_seed(seed))[0]

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_noise_is_new_at_every_step() -> None:
    """Independent steps add variances: after n steps delta sqrt(n), not delta n."""
    end, _ = revise(nothing, torch.zeros(1000, 1, 4, 4), steps=16, delta=0.1, noise=None)
    assert float(end.std()) == pytest.approx(0.4, rel=0.05)


def test_fixed_pixels_come_back_bit_for_bit_at_every_step(f: Descriptor, x: Tensor) -> None:
    x = 3 * x  # beyond the clamp
    fixed = torch.zeros(8, 8, dtype=torch.bool)
    fixed[:, :4] = True
    seen: list[Tensor] = []

    def watched(y: Tensor) -> Tensor:
        seen.append(y.detach().clone())
        return f(y)

    revised, _ = revise(watched, x, steps=4, delta=0.1, s=0.5, fixed=fixed, clamp=1.0)
    for y in [*seen, revised]:
        assert torch.equal(y[..., :4], x[..., :4])
    assert (revised[..., 4:] != x[..., 4:]).all()
    assert float(revised[..., 4:].abs().max()) <= 1


def test_fixed_pixels_still_influence_the_others() -> None:
    """Inpainting: what is known draws the unknown towards it."""
    fixed = torch.tensor([[True, False]])
    x = torch.tensor([[[[1.0, 0.0]]]])

    def pair(y: Tensor) -> Tensor:
        return -50 * (y[..., 0] - y[..., 1]).square().flatten(1).sum(1)

    revised, _ = revise(pair, x, steps=200, delta=0.1, tau=0.0, fixed=fixed)
    torch.testing.assert_close(revised, torch.ones_like(x), atol=1e-4, rtol=0)


def test_clamp_holds_after_every_step() -> None:
    seen: list[float] = []

    def outwards(y: Tensor) -> Tensor:
        seen.append(float(y.detach().abs().max()))
        return 100 * y.flatten(1).sum(1)

    start = torch.zeros(2, 1, 3, 3)
    clamped, _ = revise(outwards, start, steps=5, delta=0.2, tau=0.0, clamp=0.5)
    assert torch.equal(clamped, torch.full_like(start, 0.5)) and max(seen) <= 0.5
    free, _ = revise(outwards, start, steps=5, delta=0.2, tau=0.0)
    assert float(free.min()) > 1


def test_drift_clip_bounds_the_drift_of_each_pixel_and_not_the_noise() -> None:
    slope = torch.tensor([[[[1.0, -1.0, 1000.0, -1000.0]]]])
    revised, trace = revise(
        lambda y: (slope * y).flatten(1).sum(1), torch.ones(2, 1, 1, 4), steps=1, delta=0.1,
        noise=torch.ones_like, drift_clip=0.05,
    )  # fmt: skip
    moved = torch.tensor([0.005, -0.005, 0.05, -0.05]) + 0.1
    torch.testing.assert_close(revised - 1, moved.expand(2, 1, 1, 4))
    torch.testing.assert_close(
        trace.drift, ((2 * 0.005**2 + 2 * 0.05**2) / 4) ** 0.5 * torch.ones(1)
    )


def test_only_x_moves(f: Descriptor, x: Tensor) -> None:
    """No gradient reaches the weights; the weights, the input and its graph stay as they were."""
    weights, before, x = snapshot(f.state_dict()), x.clone(), x.requires_grad_()
    revised, _ = revise(f, x, steps=3, delta=0.1, s=0.5)
    assert all(p.grad is None and p.requires_grad for p in f.parameters())
    assert all(torch.equal(v, weights[k]) for k, v in f.state_dict().items())
    assert torch.equal(x, before) and x.grad is None
    assert not revised.requires_grad


def test_works_where_gradients_are_off(f: Descriptor, x: Tensor) -> None:
    with torch.no_grad():
        inside, _ = revise(f, x, steps=2, delta=0.1, noise=torch.Generator().manual_seed(0))
    outside, _ = revise(f, x, steps=2, delta=0.1, noise=torch.Generator().manual_seed(0))
    assert torch.equal(inside, outside)


def test_no_steps_give_a_copy(f: Descriptor, x: Tensor) -> None:
    revised, trace = revise(f, x, steps=0, delta=0.1)
    assert torch.equal(revised, x) and revised.data_ptr() != x.data_ptr()
    assert all(len(part) == 0 for part in vars(trace).values())


def test_trace_by_hand() -> None:
    """Two steps by hand on two pixels, f = x_1 + 2 x_2, noise always one."""
    delta, s, tau = 0.2, 0.5, 0.5
    x = torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    slope = torch.tensor([1.0, 2.0], dtype=torch.float64)
    rows, y = [], x
    for _ in range(2):
        u = (y.square().sum() / (2 * s**2) - (y * slope).sum()).item()
        size = y.square().mean().sqrt().item()
        drift = -(delta**2) / 2 * (y / s**2 - slope)
        y = y + drift + tau * delta
        relative = drift.square().mean().sqrt().item() / size
        rows.append((u, relative, tau * delta / size, (y - x).square().mean().sqrt().item()))

    revised, trace = revise(
        lambda v: v @ slope.float(), x.float(), steps=2, delta=delta, s=s, tau=tau,
        noise=torch.ones_like,
    )  # fmt: skip
    torch.testing.assert_close(revised, y.float())
    found = torch.stack([trace.energy, trace.drift, trace.noise, trace.displacement], 1)
    torch.testing.assert_close(found, torch.tensor(rows))


def test_energy_falls_without_noise(f: Descriptor, x: Tensor) -> None:
    _, trace = revise(f, x, steps=20, delta=0.02, s=0.2, tau=0.0)
    assert (trace.energy.diff() < 0).all()


def test_energy_formula(x: Tensor) -> None:
    f_x = torch.arange(5.0)
    by_hand = [float(v.square().sum()) / (2 * 0.3**2) - i for i, v in enumerate(x)]
    torch.testing.assert_close(energy(f_x, x, 0.3), torch.tensor(by_hand))
    assert torch.equal(energy(f_x, x, None), -f_x)


def test_without_trace_nothing_is_computed_for_it(
    f: Descriptor, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for diagnose in (True, False):
        noise = torch.Generator().manual_seed(0)
        options = {"steps": 3, "delta": 0.02, "s": 0.2, "noise": noise, "diagnose": diagnose}
        ends.append(revise(f, x, **options)[0])
        monkeypatch.setattr(langevin, "vector_norm", lambda _: pytest.fail("a norm"))
    assert torch.equal(*ends)


def test_bf16_stays_inside_the_network(f: Descriptor, x: Tensor) -> None:
    seen: set[torch.dtype] = set()
    f.features[0].register_forward_hook(lambda *a: seen.add(a[2].dtype))
    both = {
        p: revise(f, x, steps=5, delta=0.02, s=0.2, noise=torch.Generator().manual_seed(0),
                  precision=p)[0]
        for p in ("fp32", "bf16")
    }  # fmt: skip
    assert seen == {torch.float32, torch.bfloat16}
    assert both["bf16"].dtype == torch.float32
    torch.testing.assert_close(both["bf16"], both["fp32"], atol=2e-3, rtol=0)
    assert not torch.equal(both["bf16"], both["fp32"])


def test_bf16_does_not_swallow_small_steps() -> None:
    """A move of 1e-5 at x = 1 is far below the 8 bits of bf16, and must still add up."""
    x = torch.ones(1, 1, 2, 2)
    revised, _ = revise(
        lambda y: y.flatten(1).sum(1), x, steps=10, delta=math.sqrt(2e-5), tau=0.0,
        precision="bf16",
    )  # fmt: skip
    torch.testing.assert_close(revised, x + 1e-4, atol=2e-6, rtol=0)


def swing(curvature: float, damping: float | None) -> float:
    """How far from the top of f = -curvature x^2 / 2 six steps end that begin at distance 1."""
    x, _ = revise(
        lambda x: -curvature / 2 * x.square().sum(1),
        torch.ones(1, 1, dtype=torch.float64),
        steps=6, delta=2**0.5, damping=damping, tau=0.0,
    )  # fmt: skip
    return abs(float(x))


def test_equal_steps_overshoot_beyond_curvature_two() -> None:
    assert swing(1.9, None) < 1 < swing(2.1, None)
    assert swing(2.1, 1.0) == pytest.approx(swing(2.1, None))


@pytest.mark.parametrize("curvature", [0.1, 0.5, 1.0, 2.1, 3.0, 4.0, 5.0, 6.0, 6.7])
def test_damped_steps_bear_three_times_the_curvature(curvature: float) -> None:
    assert swing(curvature, 0.02) < 1


def test_damped_steps_have_their_own_limit() -> None:
    assert swing(3.4, 0.1) < 1 < swing(3.6, 0.1)
    assert swing(6.9, 0.02) > 1


def test_step_sizes_go_as_far_as_equal_ones() -> None:
    assert step_sizes(5, 0.3, None) == [0.3] * 5
    assert step_sizes(0, 0.3, 0.1) == []
    sizes = step_sizes(7, 0.3, 0.1)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[-1]
    assert sum(d**2 for d in sizes) == pytest.approx(7 * 0.3**2)


def test_noise_of_damped_steps_is_tau_times_their_size() -> None:
    x = torch.zeros(20_000, 1)
    noisy, _ = revise(
        lambda x: 0 * x.sum(1), x, steps=4, delta=0.5, damping=0.2, tau=2.0,
        noise=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert float(noisy.std()) == pytest.approx(2.0 * (4 * 0.5**2) ** 0.5, rel=0.02)
