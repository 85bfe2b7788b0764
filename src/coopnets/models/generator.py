"""The generator: a top-down ConvNet that maps a latent vector to an image.

x = g(z; alpha) + eps, z ~ N(0, I), eps ~ N(0, sigma^2 I) (TPAMI 2018, section on the
generator net). The residual eps is never drawn: sigma only weighs the squared error.
"""

from torch import Tensor, nn

from coopnets.config import GeneratorConfig
from coopnets.models.layers import BatchNorm2d, ConvTranspose2d, activation, start_normal


class Generator(nn.Module):
    """g(z; alpha): a dense layer to the smallest map, doublings, tanh.

    The sides of the maps are found from the image downwards by ceil(side / 2), so any image
    size can be had: 64, 32, 16, 8, 4, and 28, 14, 7, 4.

    Args:
        config: layers.
        size: side of the square images.
        image_channels: 1 for grey, 3 for colour.

    Raises:
        ValueError: there is not one kernel for each hidden map.
    """

    def __init__(self, config: GeneratorConfig, size: int, image_channels: int) -> None:
        super().__init__()
        if len(config.kernels) != len(config.channels):
            raise ValueError("generator: there must be as many kernels as channels")
        sides = [size]
        for _ in config.channels:
            sides.insert(0, -(-sides[0] // 2))
        self.latent = config.latent
        widths = [*config.channels, image_channels]
        # On a 1x1 map a transposed convolution without padding is a dense layer.
        layers: list[nn.Module] = [nn.ConvTranspose2d(config.latent, widths[0], sides[0])]
        for i, kernel in enumerate(config.kernels):
            if config.norm == "batch":
                layers.append(BatchNorm2d(widths[i], scale=config.norm_scale, eps=config.norm_eps))
            layers.append(activation(config.activation, config.slope))
            layers.append(
                ConvTranspose2d(widths[i], widths[i + 1], kernel, sides[i], sides[i + 1])
            )
        self.layers = nn.Sequential(*layers, nn.Tanh())
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def forward(self, z: Tensor) -> Tensor:
        """Images in [-1, 1], (B, C, H, W), of latent vectors (B, latent)."""
        x: Tensor = self.layers(z[:, :, None, None])
        return x.float()
