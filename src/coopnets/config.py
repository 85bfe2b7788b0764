"""The settings of a run: typed values, no behaviour.

Symbols are the paper's (Xie, Lu, Gao, Zhu, Wu, "Cooperative Training of Descriptor and
Generator Networks", TPAMI 2018, arXiv 1609.09408): ``delta`` the Langevin step size, ``s``
the standard deviation of the reference N(0, s^2 I), ``L`` the number of Langevin steps,
``sigma`` the standard deviation of the generator's residual.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

Precision = Literal["auto", "fp32", "bf16"]
Layout = Literal["auto", "contiguous", "channels_last"]
SlopeOn = Literal["ends", "line"]
ClipDescriptorType = Literal["FC_S", "FRAME_2", "FRAME_3", "ST", "DEEP"]
ClipGeneratorType = Literal["FC_S_128", "FC_S_64", "ST", "DEEP"]
Method = Literal["coopnets", "dcgan", "wgan", "vae", "descriptor", "generator"]

SAMPLED_BY: dict[str, tuple[str, ...]] = {
    "coopnets": ("generator", "descriptor"),
    "dcgan": ("generator",),
    "wgan": ("generator",),
    "vae": ("generator",),
    "descriptor": ("descriptor",),
    "generator": ("generator",),
}
"""The networks of each method that samples come from, in the order in which they work."""


@dataclass(frozen=True, kw_only=True)
class DescriptorConfig:
    """Bottom-up ConvNet f(x), the sum of ``outputs`` numbers (at each position, of a texture)."""

    channels: tuple[int, ...] = (64, 128, 256)
    """Output channels of each convolution."""
    kernels: tuple[int, ...] = (5, 3, 3)
    """Kernel side of each convolution."""
    strides: tuple[int, ...] = (2, 2, 1)
    """Stride of each convolution."""
    padding: tuple[int, ...] | None = None
    """Zero padding of each convolution; None is TensorFlow's SAME: side -> ceil(side / stride)."""
    outputs: int = 100
    """K: f is the plain sum of K linear outputs. Under Adam the summed unit learns K times as
    fast as its rate says, so K sets the effective rate of the top layer."""
    top: Literal["dense", "map", "none"] = "dense"
    """What follows the convolutions: a dense layer to K outputs; or, for pictures of any size, K
    outputs at every position, all summed; or nothing, and the last map itself is summed."""
    activation: Literal["leaky_relu", "relu", "silu"] = "leaky_relu"
    slope: float = 0.2
    """Negative slope of leaky_relu."""
    init_std: float | None = 0.01
    """Weights start as N(0, init_std^2) with zero biases; None keeps PyTorch's own start."""
    clips: ClipDescriptorType = "FC_S"
    """Network of clips, by the authors' names; kernels, strides and top are its own, ``channels``
    those of its hidden layers, and of images it says nothing."""
    spectral_norm: bool = False
    """Divide every weight by its largest singular value: a remedy for divergence."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Top-down ConvNet g(z): a dense layer to the smallest map, then doublings up to the image;
    or doublings alone, from a map of latent numbers."""

    latent: int = 100
    """Length of z ~ N(0, I), or numbers at each position of a latent map."""
    start: Literal["vector", "map"] = "vector"
    """z is a vector, or a map that grows with the picture, whose every part is made alike."""
    border: Literal["zero", "cut"] = "zero"
    """Beyond its border a latent map is zero; or it is drawn larger and what zeros have reached is
    cut off, so that a picture's edge is made as its middle is."""
    channels: tuple[int, ...] = (512, 256, 128, 64)
    """Channels of each hidden map, smallest map first; each further map is twice as wide."""
    kernels: tuple[int, ...] = (5, 5, 5, 5)
    """Kernel side of each transposed convolution, the last one giving the image; from a latent
    map there is one more, as the first map is doubled too."""
    clips: ClipGeneratorType = "FC_S_64"
    """Network of clips, by the authors' names; ``latent`` numbers at each position of a sequence,
    or of a map (ST), ``channels`` those of its hidden layers."""
    states: int = 60
    """Of clips, DEEP: numbers that a frame of its linear part is made of; 0 leaves that out."""
    norm: Literal["batch", "none"] = "batch"
    """Batch statistics while training; running statistics whenever samples are drawn, so that
    a sample never depends on its neighbours."""
    norm_scale: bool = False
    """Learn the scale of the normalisation too; the authors' TensorFlow code learns the offset
    alone."""
    norm_eps: float = 1e-3
    activation: Literal["leaky_relu", "relu", "silu"] = "leaky_relu"
    slope: float = 0.2
    init_std: float | None = 0.005


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """Bottom-up ConvNet to one number: the discriminator of DCGAN, the critic of W-GAN."""

    channels: tuple[int, ...] = (64, 128, 256, 512)
    kernels: tuple[int, ...] = (4, 4, 4, 4)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    norm: Literal["batch", "none"] = "batch"
    """After every convolution but the first, and not at the top."""
    slope: float = 0.2
    """Negative slope of leaky_relu."""
    init_std: float | None = 0.02


@dataclass(frozen=True, kw_only=True)
class WGANConfig:
    """How W-GAN's critic is trained and kept Lipschitz."""

    clip: float = 0.01
    """c: every weight of the critic is kept in [-c, c]."""
    gradient_penalty: float = 0.0
    """Weight of the gradient penalty, which takes the place of clipping; 0 clips."""
    critic_steps: int = 5
    """Steps of the critic, each on a batch of its own, for one of the generator."""


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """The variational autoencoder's objective; the encoder mirrors the generator."""

    kl_weight: float = 1.0
    """Weight of the divergence of q(z|x) from N(0, I); 1 is the variational bound."""


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Where the chains of the descriptor alone begin."""

    start: Literal["noise", "persistent"] = "noise"
    """Uniform noise each time, or where earlier chains stopped."""
    buffer: int = 10_000
    """Persistent chains in all, of which an iteration goes on with ``chains``."""
    restart: float = 0.05
    """Part of the persistent chains that begins again at noise each time."""


@dataclass(frozen=True, kw_only=True)
class LangevinConfig:
    """Revision x <- x - delta^2/2 (x/s^2 - df/dx) + tau delta e (paper, equation of step D1)."""

    steps: int = 10
    """L: steps of revision in training."""
    sample_steps: int | None = None
    """Steps of revision when sampling; None means as many as in training."""
    delta: float = 0.002
    """Step size, on the scale of images in [-1, 1], or of a metric's units."""
    damping: float | None = None
    """nu of steps that differ in size, large ones first, so that the chain bears a more curved f
    (:func:`coopnets.langevin.step_sizes`); None: equal steps."""
    s: float | None = 0.016
    """Standard deviation of the Gaussian reference; None leaves the reference out."""
    tau: float = 1.0
    """Noise scale relative to delta: 1 is Langevin dynamics, 0 is gradient descent."""
    sample_tau: float | None = None
    """tau when sampling; None means as at the end of training."""
    tau_until: int | None = None
    """Iteration at which the noise ends (the authors' follow-ups switch it off); None keeps it."""
    tau_decay: Literal["step", "linear"] = "step"
    """Whether the noise stops at ``tau_until`` or falls to zero linearly until then."""
    drift_clip: float | None = None
    """Bound on a pixel's drift in one step; healthy drifts are near 0.005, so 0.1 binds only in
    the first iterations, when the descriptor's gradient overshoots."""
    clamp: float | None = None
    """Keep x within [-clamp, clamp] after every step; None leaves it free, as the authors do."""
    metric: Literal["identity", "data"] = "identity"
    """Whether all pixels move alike, or, in clips, neighbours together and, where their size is
    fixed, each pixel as much as it does in the data; f sees them in the same units then
    (:mod:`coopnets.models.metric`)."""


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig:
    """Step G1: Langevin inference of z given the revised x. Off with 0 steps."""

    steps: int = 0
    delta: float = 0.1
    tau: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ObservedConfig:
    """Teaching on observed examples: an encoder infers their latent numbers, and the generator
    learns from the data too, which in the paper it never sees. Off with weight 0."""

    weight: float = 0.0
    """Of the variational bound of the observed examples beside the revised ones' likelihood."""
    kl_weight: float = 1.0
    """Weight of the divergence of q(z|x) from N(0, I) within the bound; 1 is the bound."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimiser of one network."""

    kind: Literal["adam", "sgd", "rmsprop"] = "adam"
    """Adam, stochastic gradient descent with momentum, or RMSprop."""
    lr: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    momentum: float = 0.5
    """Of sgd; adam has beta1."""
    alpha: float = 0.99
    """Smoothing of rmsprop's second moment; adam has beta2."""
    weight_decay: float = 0.0
    """Added to the gradient, times the weight; biases and normalisation do not decay."""
    decay: float = 1.0
    """The rate is multiplied by this every ``decay_every`` iterations (1: constant)."""
    decay_every: int = 1000
    decay_floor: float = 0.0
    """The rate falls to this part of ``lr`` and no further."""
    layer_rates: tuple[float, ...] | None = None
    """Rate of each convolution and dense layer relative to ``lr``, from input to output."""
    bias_rate: float = 1.0
    """Rate of biases, and of a normalisation's scale, relative to that of the layer."""
    per_position: bool = False
    """Divide a layer's gradient by the number of positions of its output map (descriptor)."""
    cap: float | None = None
    """Largest magnitude in a gradient: a tensor with larger ones is shrunk as a whole."""
    clip: float | None = None
    """Largest gradient norm; None does not clip. The descriptor's gradient grows a
    millionfold in its first iterations, and Adam, whose second moment lags, then takes steps
    many times too long and remembers them for 1 / (1 - beta2) iterations. A clip far below
    the usual norm (1.0) makes the norm constant, and Adam is at ease from the start."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides what a run computes."""

    preset: str = "scene"
    """Settings to start from; ``coopnets presets`` lists them."""
    method: Method = "coopnets"
    """What is trained: both networks together, one of the two alone, or a system to compare with;
    the preset's settings are turned into its own published recipe."""
    size: int = 64
    """Side of the square images."""
    frames: int = 0
    """Frames of a clip, the whole of which is one example; 0 means images."""
    fps: float | None = None
    """Frames a second that clips are brought to, or that a folder of frames has; None takes frames
    as they come."""
    image_channels: int = 3
    crop: int | None = None
    """Centre crop before resizing (CelebA's convention is 108); None takes the largest square."""
    windows: bool = False
    """Observed images are windows of this size at random places of pictures that are not resized
    (one picture is enough), instead of whole pictures resized to it. Of clips: ``frames`` frames
    from a random one on, instead of the first."""
    flip: bool = False
    """Each observed image is mirrored, left to right, with probability 1/2: for few images of
    things that have no handedness."""
    descriptor: DescriptorConfig = field(default_factory=DescriptorConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)
    langevin: LangevinConfig = field(default_factory=LangevinConfig)
    posterior: PosteriorConfig = field(default_factory=PosteriorConfig)
    observed: ObservedConfig = field(default_factory=ObservedConfig)
    descriptor_optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=0.01))
    generator_optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=1e-4))
    encoder_optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(lr=1e-3, beta1=0.9)
    )
    """Of the encoder of observed examples; that of a VAE learns with its generator."""
    critic_optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=2e-4))
    wgan: WGANConfig = field(default_factory=WGANConfig)
    vae: VAEConfig = field(default_factory=VAEConfig)
    chain: ChainConfig = field(default_factory=ChainConfig)
    sigma: float = 0.3
    """Standard deviation of the generator's residual: x = g(z) + eps, eps ~ N(0, sigma^2 I)."""
    batch_size: int = 100
    """Observed images in an iteration, over all processes together."""
    chains: int = 100
    """Langevin chains in an iteration, over all processes together; need not equal batch_size."""
    memory: int = 0
    """Iterations whose pairs (z, revised x) are remembered for more teaching; 0 remembers none."""
    teaching: int = 0
    """Further generator steps an iteration on remembered pairs; cheap beside revision."""
    energy_l2: float = 0.0
    """Weight of the penalty on mean f^2 over data and revisions, f in units of dim(x)/s^2 (or of
    dim(x) where there is no reference)."""
    lead: float | None = None
    """Where the mean of f over the data is above that over the revisions by more than this, the
    descriptor's step lowers its slope too. In units of dim(x)/s^2, or of dim(x)/(delta^2/2) where
    there is no reference. None lets it lead as it will."""
    slope_on: SlopeOn = "ends"
    """Where the descriptor's slope is lowered: at data and revisions (ends), or at random points
    of lines from revisions to data (line), which suits few examples."""
    slope_weight: float = 1.0
    """Weight of the slope in the descriptor's step."""
    data_noise: float = 0.0
    """Standard deviation of the Gaussian noise added to the observed images; in clips, factor
    of the noise A e that chains have in their metric (``langevin.metric``)."""
    ema: float = 0.0
    """Decay of the moving average of the networks that samples are drawn from; 0 keeps none."""
    precision: Precision = "auto"
    """Arithmetic inside the networks; states, noise and updates are fp32 always. auto is bf16
    where the hardware has it."""
    layout: Layout = "auto"
    """Memory layout of the networks; auto is the faster one, measured when a run starts."""
    capture: bool = False
    """Record the chain of training as a CUDA graph and replay it. On a CPU nothing changes."""
    seed: int = 0


def receptive_field(f: DescriptorConfig) -> int:
    """Side of the square of pixels that one number of the descriptor's last map looks at."""
    seen, stride = 1, 1
    for kernel, step in zip(f.kernels, f.strides, strict=True):
        seen += (kernel - 1) * stride
        stride *= step
    return seen


def image_shape(config: Config) -> tuple[int, ...]:
    """(C, H, W) of an example, or (C, T, H, W) of a clip."""
    time = (config.frames,) if config.frames else ()
    return (config.image_channels, *time, config.size, config.size)


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested dataclass as ``("langevin.delta", 0.002)``."""
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            yield from flatten(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", value


def differences(before: Any, now: Any) -> list[str]:
    """Every leaf that differs, as ``langevin.delta: 0.002 -> 0.003``."""
    old = dict(flatten(before))
    return [f"{k}: {old.get(k)} -> {v}" for k, v in flatten(now) if old.get(k) != v]


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionary of a configuration, ready for JSON."""
    return {
        f.name: to_dict(v) if is_dataclass(v := getattr(config, f.name)) else v
        for f in fields(config)
    }


def from_dict(kind: type[Any], values: dict[str, Any]) -> Any:
    """Inverse of :func:`to_dict` for the dataclass ``kind``.

    Raises:
        ValueError: a key is not a field of ``kind``.
    """
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"unknown setting {', '.join(unknown)} of {kind.__name__}")
    parsed = {}
    for name, value in values.items():
        if is_dataclass(known[name].type):
            value = from_dict(known[name].type, value)  # type: ignore[arg-type]
        elif isinstance(value, list):
            value = tuple(value)
        parsed[name] = value
    return kind(**parsed)
