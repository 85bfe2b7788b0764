"""The critic: a bottom-up ConvNet to one number, for the methods that compare by a game.

DCGAN's discriminator gives the logit of "observed" (Radford, Metz, Chintala, ICLR 2016,
arXiv 1511.06434), W-GAN's critic a score of which only differences matter (Arjovsky, Chintala,
Bottou, ICML 2017, arXiv 1701.07875); the published network of both is the same.
"""

from torch import Tensor, nn

from coopnets.config import CriticConfig
from coopnets.models.layers import BatchNorm2d, Conv2d, activation, start_normal

EPS = 1e-5


class Critic(nn.Module):
    """Strided convolutions, normalised after all but the first, then a dense layer.

    With batch normalisation a number depends on the whole batch: observed and generated images
    go in as batches of their own, never mixed.

    Args:
        config: layers.
        size: side of the square images.
        image_channels: 1 for grey, 3 for colour.

    Raises:
        ValueError: the layer lists differ in length.
    """

    def __init__(self, config: CriticConfig, size: int, image_channels: int) -> None:
        super().__init__()
        if not len(config.channels) == len(config.kernels) == len(config.strides):
            raise ValueError("critic: channels, kernels and strides differ in length")
        layers: list[nn.Module] = []
        width, side = image_channels, size
        for channels, kernel, stride in zip(
            config.channels, config.kernels, config.strides, strict=True
        ):
            # Normalisation takes constants away: only rounding would move a bias before it.
            normed = config.norm == "batch" and bool(layers)
            layers.append(Conv2d(width, channels, kernel, stride, None, bias=not normed))
            if normed:
                layers.append(BatchNorm2d(channels, scale=True, eps=EPS))
            layers.append(activation("leaky_relu", config.slope))
            width, side = channels, -(-side // stride)
        self.features = nn.Sequential(*layers)
        self.top = nn.Linear(width * side**2, 1)
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def forward(self, x: Tensor) -> Tensor:
        """The number of each image: (B, C, H, W) in about [-1, 1] to (B,)."""
        number: Tensor = self.top(self.features(x).flatten(1))
        return number.float().squeeze(1)
