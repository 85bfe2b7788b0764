"""The variational bound of an example: an encoder guesses z, the generator makes it again.

Kingma, Welling, *Auto-Encoding Variational Bayes* (ICLR 2014, arXiv 1312.6114): the estimator of
equation 7, in which the divergence is in closed form (appendix B), with one draw of z an example.
The generator is Gaussian, x ~ N(g(z), sigma^2 I), as that of cooperative learning.
"""

import math

from torch import Tensor

from coopnets.langevin import Normal
from coopnets.models import AnyEncoder


def guessed(q: AnyEncoder, x: Tensor, noise: Normal) -> tuple[Tensor, Tensor]:
    """z = mu(x) + sigma(x) e, e ~ N(0, I): draws from q(z|x) that gradients pass through.

    Args:
        q: the encoder.
        x: examples, (B, ...) in [-1, 1].
        noise: draws normal numbers like its argument.

    Returns:
        z and, of each example, the divergence KL(q(z|x) | N(0, I)).
    """
    mu, log_variance = q(x)
    z = mu + (log_variance / 2).exp() * noise(mu)
    return z, divergence(mu, log_variance)


def divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, diag exp(log_variance)) | N(0, I)), (B,), in nats (appendix B)."""
    return (mu.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2


def log_likelihood(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """log N(x; mean, sigma^2 I), (B,), in nats, of examples (B, ...)."""
    pixels = x[0].numel()
    error = (x - mean).square().flatten(1).sum(1) / (2 * sigma**2)
    return -error - pixels * math.log(sigma * math.sqrt(2 * math.pi))
