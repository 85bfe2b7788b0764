"""One synchronised optimiser step of a network, as its settings say.

Adam; RMSprop, which W-GAN is trained with; or the authors' Matlab recipe: stochastic gradient
descent with momentum in which each layer has a rate of its own, and each tensor's gradient is
bounded by its largest entry.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from coopnets.config import OptimizerConfig
from coopnets.models import evaluating
from coopnets.models.layers import BatchNorm2d
from coopnets.processes import Processes

PLAIN = ("bias", "motion")
"""Parameters of a layer that are no weights of it."""


def make_optimizer(net: nn.Module, settings: OptimizerConfig) -> Optimizer:
    """The configured optimiser over the trained parameters of ``net``.

    A group holds parameters of one rate, relative to ``settings.lr``, and one weight decay.

    Raises:
        ValueError: ``layer_rates`` has not one number for each layer.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter, rate, decays in relative_rates(net, settings):
        key = (rate, settings.weight_decay * decays)
        groups.setdefault(key, []).append(parameter)
    made = [
        {"params": parameters, "lr": settings.lr * rate, "relative": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    if settings.kind == "sgd":
        return SGD(made, settings.lr, settings.momentum, fused=True)
    if settings.kind == "rmsprop":
        return RMSprop(made, settings.lr, settings.alpha, foreach=True)
    return Adam(made, settings.lr, (settings.beta1, settings.beta2), fused=True)


def relative_rates(
    net: nn.Module, settings: OptimizerConfig
) -> list[tuple[nn.Parameter, float, bool]]:
    """Each trained parameter, its rate relative to the base, and whether its weight decays.

    Weights of the n-th convolution or dense layer learn at ``layer_rates[n]``, their biases at
    ``bias_rate`` times that; scales of a normalisation at ``bias_rate``, its offsets at 1. Only
    weights of convolutions and dense layers decay.
    """
    found: list[tuple[nn.Parameter, float, bool]] = []
    rates = iter(settings.layer_rates or ())
    layers = 0
    for module in net.modules():
        own = list(module.named_parameters(recurse=False))
        if isinstance(module, BatchNorm2d):
            made = [(p, settings.bias_rate if name == "weight" else 1.0, False) for name, p in own]
        elif own:
            rate = next(rates, 1.0)
            layers += 1
            made = [(p, rate * (settings.bias_rate if name == "bias" else 1.0), name not in PLAIN)
                    for name, p in own]  # fmt: skip
        else:
            continue
        found += [entry for entry in made if entry[0].requires_grad]
    if settings.layer_rates and len(settings.layer_rates) != layers:
        raise ValueError(f"{len(settings.layer_rates)} layer rates for {layers} layers")
    return found


def output_positions(net: nn.Module, example: Tensor) -> dict[nn.Parameter, int]:
    """How many positions of its layer's output map each parameter works at, given an input."""
    # A descriptor reads its dense top's weights without calling it, so no hook sees that layer.
    dense = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    counts = {p: 1 for layer in dense for p in layer.parameters()}

    def note(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        for parameter in module.parameters(recurse=False):
            counts[parameter] = output.shape[2:].numel()

    hooks = [module.register_forward_hook(note) for module in net.modules()]
    with evaluating(net), torch.no_grad():
        net(example)
    for hook in hooks:
        hook.remove()
    return counts


def rate_at(settings: OptimizerConfig, t: int) -> float:
    """Base rate at iteration t: plateaus that fall geometrically down to ``decay_floor``."""
    fall = settings.decay ** (t // settings.decay_every)
    return settings.lr * max(fall, settings.decay_floor)


def trained(optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters of an optimiser, in the order of its groups."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def step(
    optimizer: Optimizer,
    gradients: Sequence[Tensor],
    settings: OptimizerConfig,
    t: int,
    processes: Processes,
    *,
    scale: float = 1.0,
    positions: dict[nn.Parameter, int] | None = None,
) -> None:
    """One step down this process' gradients, averaged over processes first.

    Args:
        optimizer: of :func:`make_optimizer`.
        gradients: one for each of its parameters (:func:`trained`).
        settings: rate, clip and caps.
        t: iteration, which decides the rate.
        processes: those to average the gradient over.
        scale: factor on the rate.
        positions: divide each gradient by this number first (:func:`output_positions`).
    """
    parameters = trained(optimizer)
    for p, gradient in zip(parameters, gradients, strict=True):
        # Fused optimisers walk through memory: a gradient must lie as its parameter does.
        p.grad = gradient if gradient.stride() == p.stride() else _laid_out_like(p, gradient)
    processes.average_gradients(parameters)
    averaged = [p.grad for p in parameters if p.grad is not None]  # which is all of them
    if positions is not None:
        torch._foreach_div_(averaged, [float(positions[p]) for p in parameters])
    if settings.cap is not None:
        bound_entries(averaged, settings.cap)
    if settings.clip is not None:
        nn.utils.clip_grad_norm_(parameters, settings.clip)
    for group in optimizer.param_groups:
        group["lr"] = rate_at(settings, t) * group["relative"] * scale
    optimizer.step()


def load_state(optimizer: Optimizer, state: dict[int, dict[str, Tensor]]) -> None:
    """Load stored state, every tensor laid out in memory as its parameter is."""
    parameters = trained(optimizer)
    for index, slots in state.items():
        for key, value in slots.items():
            if value.shape == parameters[index].shape:
                slots[key] = _laid_out_like(parameters[index], value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_like(parameter: Tensor, values: Tensor) -> Tensor:
    return torch.empty_like(parameter, requires_grad=False).copy_(values)


def bound_entries(gradients: Sequence[Tensor], cap: float) -> None:
    """Shrink each tensor, in place, so that no entry's magnitude is above ``cap``."""
    for gradient in gradients:
        gradient.mul_((cap / gradient.abs().amax().clamp_min(1e-30)).clamp_max(1.0))
