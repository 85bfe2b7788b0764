"""The generator: a top-down ConvNet that maps latent numbers to an image.

x = g(z; alpha) + eps, z ~ N(0, I), eps ~ N(0, sigma^2 I) (TPAMI 2018, section on the
generator net). The residual eps is never drawn: sigma only weighs the squared error.
"""

import torch
from torch import Tensor, nn

from coopnets.config import GeneratorConfig
from coopnets.models.layers import BatchNorm2d, ConvTranspose2d, activation, start_normal


class Generator(nn.Module):
    """g(z; alpha): a dense layer to the smallest map, doublings, tanh; or doublings alone.

    From a vector, the sides of the maps are found from the image downwards by ceil(side / 2), so
    any image size can be had: 64, 32, 16, 8, 4, and 28, 14, 7, 4. From a map of latent numbers
    (one *cell* gives a square of ``2^doublings`` pixels) every layer doubles, and a larger map
    gives a larger picture with the same weights.

    Args:
        config: layers.
        size: side of the square images.
        image_channels: 1 for grey, 3 for colour.

    Raises:
        ValueError: the number of kernels does not fit the channels, or the size the doublings.
    """

    def __init__(self, config: GeneratorConfig, size: int, image_channels: int) -> None:
        super().__init__()
        if config.start == "map":
            self._from_map(config, size, image_channels)
        else:
            self._from_vector(config, size, image_channels)
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def _from_vector(self, config: GeneratorConfig, size: int, image_channels: int) -> None:
        if len(config.kernels) != len(config.channels):
            raise ValueError("generator: there must be as many kernels as channels")
        sides = [size]
        for _ in config.channels:
            sides.insert(0, -(-sides[0] // 2))
        self.latent_shape: tuple[int, ...] = (config.latent,)
        widths = [*config.channels, image_channels]
        # On a 1x1 map a transposed convolution without padding is a dense layer.
        layers: list[nn.Module] = [nn.ConvTranspose2d(config.latent, widths[0], sides[0])]
        for i, kernel in enumerate(config.kernels):
            layers += normalised(config, widths[i])
            layers.append(
                ConvTranspose2d(widths[i], widths[i + 1], kernel, sides[i], sides[i + 1])
            )
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def _from_map(self, config: GeneratorConfig, size: int, image_channels: int) -> None:
        if len(config.kernels) != len(config.channels) + 1:
            raise ValueError("generator: from a map there must be one kernel more than channels")
        self.cell = 2 ** len(config.kernels)
        if size % self.cell:
            raise ValueError(f"generator: size {size} is no multiple of {self.cell}")
        self.margins = margins(config.kernels)
        self.cut = config.border == "cut"
        self.latent_shape = self.map_shape(config.latent, size, size)
        widths = [config.latent, *config.channels, image_channels]
        layers: list[nn.Module] = []
        for i, kernel in enumerate(config.kernels):
            layers.append(ConvTranspose2d(widths[i], widths[i + 1], kernel, 1, 2))
            if self.cut:
                layers.append(Cut(2 * self.margins[i] - self.margins[i + 1]))
            if i + 1 < len(config.kernels):
                layers += normalised(config, widths[i + 1])
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def map_shape(self, latent: int, height: int, width: int) -> tuple[int, int, int]:
        """(latent, h, w) of the map of a picture, whose sides are multiples of a cell's."""
        more = 2 * self.margins[0] if self.cut else 0
        return latent, height // self.cell + more, width // self.cell + more

    def forward(self, z: Tensor) -> Tensor:
        """Images in about [-1, 1], (B, C, H, W), of z (B, latent) or (B, latent, h, w)."""
        x: Tensor = self.layers(z if z.ndim == 4 else z[:, :, None, None])
        return x.float()

    def tile(self, z: Tensor) -> Tensor:
        """Pictures whose opposite edges meet: (B, C, h cell, w cell) of maps (B, latent, h, w)."""
        margin = self.margins[0]
        for axis in (2, 3):
            places = torch.arange(-margin, z.shape[axis] + margin, device=z.device)
            z = z.index_select(axis, places % z.shape[axis])
        x: Tensor = self(z)
        return x if self.cut else Cut(margin * self.cell).forward(x)


class Cut(nn.Module):
    """Takes ``count`` rows and columns off each side of a map."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H - 2 count, W - 2 count)."""
        c = self.count
        inner: Tensor = x[:, :, c : x.shape[2] - c, c : x.shape[3] - c]
        return inner


def margins(kernels: tuple[int, ...]) -> list[int]:
    """How much of each map beyond the picture the picture depends on, on every side.

    From the image (0) upwards: an output pixel o of a doubling with kernel k and padding p
    gathers the inputs from (o + p - k + 1) / 2 to (o + p) / 2, so a margin of m pixels needs
    one of floor((m + k - 1 - p) / 2) before, and of floor((m + 1 + p) / 2) behind.

    Returns:
        One number for each map, that of the latent map first.
    """
    found = [0]
    for kernel in reversed(kernels):
        padding = (kernel - 2) // 2
        found.insert(0, (found[0] + max(kernel - 1 - padding, 1 + padding)) // 2)
    return found


def normalised(config: GeneratorConfig, width: int) -> list[nn.Module]:
    """What follows a layer of that many channels: normalisation, if any, and activation."""
    layers: list[nn.Module] = []
    if config.norm == "batch":
        layers.append(BatchNorm2d(width, scale=config.norm_scale, eps=config.norm_eps))
    return [*layers, activation(config.activation, config.slope)]
