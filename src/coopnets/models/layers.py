"""Layers that both networks are built from."""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from coopnets.models.patches import convolve, convolve_transposed, deep, thin

Activation = Literal["leaky_relu", "relu", "silu"]


def activation(kind: Activation, slope: float) -> nn.Module:
    """The nonlinearity of that name; ``slope`` concerns leaky_relu alone.

    In place where its gradient can be told from its output: the layer before needs none of it.
    """
    made: dict[str, Callable[[], nn.Module]] = {
        "leaky_relu": lambda: nn.LeakyReLU(slope, inplace=True),
        "relu": lambda: nn.ReLU(inplace=True),
        "silu": nn.SiLU,
    }
    return made[kind]()


class Conv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding where ``padding`` is None.

    SAME gives ``ceil(side / stride)`` and, where the padding is odd, puts the larger part after.
    While ``wrap`` is set, what lies beyond a border is the opposite side instead of zeros.
    """

    wrap = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        padding: int | None,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding or 0, bias=bias)
        self.same = padding is None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H', W')."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The same with weights from elsewhere."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding = None if self.same else int(self.padding[0])
        if self.wrap:
            x, padding = _torus(x, kernel, stride, padding), 0
        inner, beyond, positions = placed(x.shape[2], x.shape[3], kernel, stride, padding)
        x = F.pad(x, beyond) if beyond else x
        if thin(self.in_channels, x) or deep(weight, positions):
            return convolve(x, weight, bias, stride, inner)
        return F.conv2d(x, weight, bias, stride, inner)


@cache
def placed(
    height: int, width: int, kernel: int, stride: int, padding: int | None
) -> tuple[int, tuple[int, ...], int]:
    """How a convolution lies on a map of that size; ``padding`` is None for SAME.

    Returns:
        Padding that all ends share, which costs the library's kernels no copy; what is padded
        beyond it (left, right, top, bottom), nothing if it is nowhere; and the positions.
    """
    pads = [ends(side, kernel, stride, padding) for side in (height, width)]
    positions = [
        (side + sum(ends) - kernel) // stride + 1
        for side, ends in zip((height, width), pads, strict=True)
    ]
    inner = min(min(ends) for ends in pads)
    beyond = tuple(end - inner for end in (*pads[1], *pads[0]))
    return inner, beyond if any(beyond) else (), positions[0] * positions[1]


def _torus(x: Tensor, kernel: int, stride: int, padding: int | None) -> Tensor:
    """The torus cut open, with as much on each side as zeros are put there otherwise."""
    for axis in (2, 3):
        side = x.shape[axis]
        before, after = ends(side, kernel, stride, padding)
        if before or after:
            places = torch.arange(-before, side + after, device=x.device) % side
            x = x.index_select(axis, places)
    return x


def ends(side: int, kernel: int, stride: int, padding: int | None) -> tuple[int, int]:
    """What is put before and behind along an axis; ``padding`` None is SAME, more behind."""
    if padding is not None:
        return padding, padding
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution of stride 2 onto a map of a stated side: SAME's adjoint."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, side_in: int, side_out: int
    ) -> None:
        self.extra = (side_in - 1) * 2 + kernel - side_out
        if self.extra < 0:
            raise ValueError(f"a kernel of {kernel} cannot reach side {side_out} from {side_in}")
        super().__init__(in_channels, out_channels, kernel, 2, padding=self.extra // 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (B, C_in, side_in, side_in) to (B, C_out, side_out, side_out)."""
        if thin(self.out_channels, x) or deep(self.weight, x.shape[2] * x.shape[3]):
            padding = int(self.padding[0])
            y = convolve_transposed(x, self.weight, self.bias, self.stride[0], padding)
        elif self.kernel_size[0] % 2 and self.bias is not None and _in_bf16_on_cpu(x):
            # With the bias in it, the library's kernel takes five times as long.
            y = F.conv_transpose2d(x, self.weight, None, self.stride[0], int(self.padding[0]))
            y = y + self.bias[:, None, None].to(y.dtype)
        else:
            y = super().forward(x, output_size)
        return y[..., :-1, :-1] if self.extra % 2 else y


def _in_bf16_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and (
        x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    )


class SumOverProcesses(torch.autograd.Function):
    """The sum of every process' tensor on every process; so is the gradient of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Sum over processes."""
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Every process' loss reaches every process' input."""
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class BatchNorm2d(nn.Module):
    """Batch normalisation whose statistics are those of the global batch, on CPU and GPU alike.

    In training mode the moments are of the batch over all processes (PyTorch's own
    SyncBatchNorm refuses CPUs); in evaluation mode they are the running ones.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, scale: bool, eps: float, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels), requires_grad=scale)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) channel by channel."""
        if self.training and dist.is_initialized() and dist.get_world_size() > 1:
            mean, var, count = self._global_moments(x)
            with torch.no_grad():
                unbiased = var * count / (count - 1)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(unbiased, self.momentum)
            scale = self.weight * torch.rsqrt(var + self.eps)
            shift = self.bias - mean * scale
            return torch.addcmul(shift[:, None, None], x, scale[:, None, None]).to(x.dtype)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training, self.momentum, self.eps,
        )  # fmt: skip

    def _global_moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x.float()
        local = torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))])
        count = torch.full((1, local.shape[1]), x.numel() / x.shape[1], device=x.device)
        total: Tensor = SumOverProcesses.apply(torch.cat([local, count]))
        mean = total[0] / total[2]
        return mean, total[1] / total[2] - mean.square(), total[2]


def start_normal(net: nn.Module, std: float) -> None:
    """Draw all convolution and dense weights from N(0, std^2) and zero the biases."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def bound_spectra(net: nn.Module) -> None:
    """Divide every weight by its largest singular value, in place (Miyato et al., ICLR 2018)."""
    for layer in list(net.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
