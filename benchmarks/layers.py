"""Single layers: the library's kernels against products over patches.

The table that ``coopnets.models.patches`` rests on. Each layer of a descriptor works in three
directions: up (its output), down (its input's gradient) and weights (their gradient). In a
generator the same layers stand upside down, so that up and down change places.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.command import Options, command
from benchmarks.limit import DTYPES
from benchmarks.networks import convolutions, descriptor, distinct
from benchmarks.result import Column, Result, Row
from benchmarks.timing import interleave
from coopnets.models import Descriptor, patches

DIRECTIONS = ("up", "down", "weights")
COLUMNS = [
    Column("layer", "layer"),
    Column("batch", "batch", "d"),
    Column("kind", "kind"),
    *(
        Column(f"{direction}_{way}", f"{direction}: {way}", ".1f")
        for direction in DIRECTIONS
        for way in ("library", "product", "ours")
    ),
]


@dataclass(kw_only=True)
class LayersOptions(Options):
    """Time single layers by the library and by products over patches."""

    presets: tuple[str, ...] = ("digits", "scene")
    """Presets whose descriptors' layers to measure; own and all stand for many."""
    batches: tuple[int, ...] = (1, 16, 100)
    """Batch sizes."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic."""
    seconds: float = 2.0
    """Least time of a row."""


@dataclass(frozen=True)
class Layer:
    """A convolution of square maps."""

    channels: int
    outputs: int
    side: int
    kernel: int
    stride: int
    padding: int

    def __str__(self) -> str:
        return f"{self.channels}-{self.outputs} at {self.side}, k{self.kernel} s{self.stride}"


def run(options: LayersOptions) -> Result:
    """Measure every layer that the networks have, each once."""
    device = torch.device(options.device)
    presets, batches = options.presets, options.batches
    if options.quick:
        presets, batches = ("demo",), (2,)
    rows = [
        measured(layer, batch, options, device)
        for layer in dict.fromkeys(layers(presets))
        for batch in batches
    ]
    notes = [
        f"GFLOP/s in {options.precision}, of the fastest round. Library: the faster of both "
        "memory layouts. Product: one matrix product, channels last; of thin layers only the way "
        "down is one. Ours: what the engine does with that kind of layer, channels last, with "
        "autograd around thin and deep ones. Layers: channels in and out, side of the larger map, "
        "kernel and stride."
    ]
    return Result(title="Layers", columns=COLUMNS, rows=rows, notes=notes)


def layers(presets: Sequence[str]) -> Iterator[Layer]:
    """The convolutions of presets' descriptors, uneven padding counted to the map."""
    for config in distinct(presets).values():
        f = descriptor(config, torch.device("cpu"))
        if not isinstance(f, Descriptor):  # those of clips are no layers of pictures
            continue
        for layer, (side, _), pads in convolutions(f, config.size):
            before, after = pads[0]
            yield Layer(
                layer.in_channels, layer.out_channels, side + after - before,
                layer.kernel_size[0], layer.stride[0], before,
            )  # fmt: skip


def measured(layer: Layer, batch: int, options: LayersOptions, device: torch.device) -> Row:
    """One row: all directions by all ways, interleaved."""
    cases: dict[str, Callable[[], object]] = {}
    dtype = DTYPES[options.precision]
    x = torch.randn(batch, layer.channels, layer.side, layer.side, device=device).to(dtype)
    w = torch.randn(layer.outputs, layer.channels, layer.kernel, layer.kernel, device=device)
    w = w.to(dtype) / (layer.channels * layer.kernel**2) ** 0.5
    place = (layer.stride, layer.padding)
    y = F.conv2d(x, w, None, *place)
    last = torch.channels_last
    x_last, w_last, y_last = (t.contiguous(memory_format=last) for t in (x, w, y))
    few = patches.thin(layer.channels, x)
    kind = "thin" if few else "deep" if patches.deep(w_last, y[0, 0].numel()) else "plain"
    with torch.no_grad():
        cases |= _by_library("contiguous", x, w, y, place)
        cases |= _by_library("last", x_last, w_last, y_last, place)
        cases |= _by_product(x_last, w_last, y_last, place)
    if kind != "plain":
        cases |= _by_engine(x_last, w_last, y_last, place)
    times = interleave(cases, options.rounds(), device)
    flops = 2 * y.numel() * w[0].numel()
    rate = {name: flops / t.minimum / 1e9 for name, t in times.items()}
    row: Row = {"layer": str(layer), "batch": batch, "kind": kind, "rates": rate}
    for direction in DIRECTIONS:
        both = [rate[f"{direction} contiguous"], rate[f"{direction} last"]]
        row[f"{direction}_library"] = max(both)
        row[f"{direction}_product"] = rate.get(f"{direction} product")
        row[f"{direction}_ours"] = rate.get(f"{direction} ours", both[1])
    return row


def _by_library(
    layout: str, x: Tensor, w: Tensor, y: Tensor, place: tuple[int, int]
) -> dict[str, Callable[[], object]]:
    stride, padding = place

    def backwards(mask: list[bool]) -> object:
        return torch.ops.aten.convolution_backward(
            y, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask
        )

    return {
        f"up {layout}": lambda: F.conv2d(x, w, None, *place),
        f"down {layout}": lambda: backwards([True, False, False]),
        f"weights {layout}": lambda: backwards([False, True, False]),
    }


def _by_product(
    x: Tensor, w: Tensor, y: Tensor, place: tuple[int, int]
) -> dict[str, Callable[[], object]]:
    made: dict[str, Callable[[], object]] = {
        "down product": lambda: product_down(y, w, x.shape, *place)
    }
    if w.shape[1] > patches.THIN:
        made["up product"] = lambda: patches.product_up(x, w, *place)
        made["weights product"] = lambda: patches.product_weights(y, x, w.shape, *place)
    return made


def product_down(y: Tensor, w: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """P*(y W) for layers of any width; of those that are not thin the engine makes none."""
    if patches.thin(w.shape[1], y):
        return patches.product_down(y, w, shape, stride, padding)
    made = y.permute(0, 2, 3, 1).reshape(-1, y.shape[1]) @ w.permute(0, 2, 3, 1).flatten(1)
    return scattered(made, shape, (y.shape[2], y.shape[3]), w.shape[2], stride, padding)


def scattered(
    taps: Tensor,
    shape: torch.Size,
    positions: tuple[int, int],
    kernel: int,
    stride: int,
    padding: int,
) -> Tensor:
    """P*, which adds overlapping patches up: an image of ``shape`` (B, C, H, W), channels last."""
    count, channels, height, width = shape
    rows, columns = positions
    parts = taps.view(count, rows, columns, kernel, kernel, channels)
    # Taps a stride apart overlap; those within one do not, and are added in one go.
    blocks = -(-kernel // stride)
    high = max(-(-(height + 2 * padding) // stride), rows + blocks - 1)
    wide = max(-(-(width + 2 * padding) // stride), columns + blocks - 1)
    image = taps.new_zeros(count, high, stride, wide, stride, channels)
    for a in range(blocks):
        for b in range(blocks):
            part = parts[:, :, :, a * stride : (a + 1) * stride, b * stride : (b + 1) * stride]
            image[:, a : a + rows, : part.shape[3], b : b + columns, : part.shape[4]] += (
                part.transpose(2, 3)
            )
    whole = image.view(count, high * stride, wide * stride, channels)
    inner = whole[:, padding : padding + height, padding : padding + width]
    return inner.permute(0, 3, 1, 2)


def _by_engine(
    x: Tensor, w: Tensor, y: Tensor, place: tuple[int, int]
) -> dict[str, Callable[[], object]]:
    """The layer as it stands in a network, through autograd."""
    to_x, to_w = x.detach().requires_grad_(), w.detach().requires_grad_()
    up_x, up_w = (patches.convolve(a, b, None, *place) for a, b in ((to_x, w), (x, to_w)))
    return {
        "up ours": lambda: patches.convolve(x, w, None, *place),
        "down ours": lambda: torch.autograd.grad(up_x, to_x, y, retain_graph=True),
        "weights ours": lambda: torch.autograd.grad(up_w, to_w, y, retain_graph=True),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command("layers", LayersOptions, run, argv)


if __name__ == "__main__":
    sys.exit(main())
