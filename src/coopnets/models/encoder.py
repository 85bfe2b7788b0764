"""The encoder of the variational autoencoder: the generator's mirror image.

q(z|x) = N(mu(x), diag sigma(x)^2) (Kingma, Welling, ICLR 2014, arXiv 1312.6114).
"""

from torch import Tensor, nn

from coopnets.config import GeneratorConfig
from coopnets.models.layers import BatchNorm2d, Conv2d, activation, start_normal


class Encoder(nn.Module):
    """The generator's maps from the image downwards: as wide, as large, normalised alike.

    Args:
        config: the generator's layers.
        size: side of the square images.
        image_channels: 1 for grey, 3 for colour.

    Raises:
        ValueError: there is not one kernel for each hidden map.
    """

    def __init__(self, config: GeneratorConfig, size: int, image_channels: int) -> None:
        super().__init__()
        if len(config.kernels) != len(config.channels):
            raise ValueError("generator: there must be as many kernels as channels")
        layers: list[nn.Module] = []
        width, side = image_channels, size
        for channels, kernel in zip(config.channels[::-1], config.kernels[::-1], strict=True):
            normed = config.norm == "batch"
            layers.append(Conv2d(width, channels, kernel, 2, None, bias=not normed))
            if normed:
                layers.append(BatchNorm2d(channels, scale=config.norm_scale, eps=config.norm_eps))
            layers.append(activation(config.activation, config.slope))
            width, side = channels, -(-side // 2)
        self.features = nn.Sequential(*layers)
        self.top = nn.Linear(width * side**2, 2 * config.latent)
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log sigma^2 of q(z|x), (B, latent) each, of images (B, C, H, W)."""
        mu, log_variance = self.top(self.features(x).flatten(1)).float().chunk(2, dim=1)
        return mu, log_variance
