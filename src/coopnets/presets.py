"""Presets: ours for a modest budget, and the authors' own settings under their names.

The authors' presets hold the hyper-parameters of their published code to the letter. What is a
defect of that code rather than a setting is not repeated: pictures are never stretched one by
one, data are shuffled, test images are not trained on, batch norm uses running statistics when
sampling, and step G1 weighs each chain's likelihood by itself.
"""

from dataclasses import replace

from coopnets.config import (
    Config,
    DescriptorConfig,
    GeneratorConfig,
    LangevinConfig,
    OptimizerConfig,
)
from coopnets.errors import CoopNetsError

_FOUR = (4, 4, 4, 4)
_TWO = (2, 2, 2, 2)

# --- Ours: what works best on a modest budget -------------------------------------------------

_ALONG_F = LangevinConfig(steps=6, delta=2**0.5, s=None, tau=0.003, drift_clip=0.1)
"""Without a reference, and a step that adds the gradient of f itself (delta^2 / 2 = 1) and noise
of 0.004. The data get noise of 0.01 with it: without it f would curve against the chain's noise
until its steps overshoot (docs/stability.md)."""

_SOON_SLOWER = OptimizerConfig(lr=0.006, clip=30.0, decay=0.9, decay_every=100, decay_floor=0.1)
"""For f without a reference. The norm of its gradient is near 10; the clip is for outliers."""

cifar = Config(
    preset="cifar",
    size=32,
    descriptor=DescriptorConfig(
        channels=(32, 64, 128, 256),
        kernels=(3, 4, 4, 4),
        strides=(1, 2, 2, 2),
        outputs=1,
        init_std=None,
    ),
    generator=GeneratorConfig(channels=(256, 128, 64), kernels=_FOUR[:3]),
    langevin=_ALONG_F,
    descriptor_optimizer=_SOON_SLOWER,
    generator_optimizer=OptimizerConfig(lr=0.0003),
    chains=32,
    memory=10,
    teaching=2,
    data_noise=0.01,
    ema=0.995,
)
"""The first layer keeps the resolution; few chains make iterations many. Measured in
experiments/benchmarks."""

digits = replace(
    cifar,
    preset="digits",
    size=28,
    image_channels=1,
    langevin=replace(_ALONG_F, damping=0.1),
    lead=0.003,
)
"""Without the lead f runs away within 15 iterations (experiments/digits)."""

demo = replace(
    digits,
    preset="demo",
    descriptor=replace(digits.descriptor, channels=(16, 32, 64, 128)),
    generator=replace(digits.generator, channels=(128, 64, 32)),
    batch_size=64,
)

scene = replace(
    cifar,
    preset="scene",
    size=64,
    descriptor=replace(
        cifar.descriptor,
        channels=(16, 32, 64, 128, 256),
        kernels=(3, *_FOUR),
        strides=(1, *_TWO),
    ),
    generator=GeneratorConfig(channels=(384, 192, 96, 48), kernels=_FOUR),
    langevin=replace(_ALONG_F, damping=0.1),
    batch_size=64,
    lead=0.0003,
    slope_on="line",
    slope_weight=2.0,
)
"""Steps of differing size: with equal ones f curved beyond what they bear. The slope on lines
holds f on few examples, where it ran far ahead (docs/stability.md)."""

face = replace(scene, preset="face")

object_128 = replace(
    face,
    preset="object-128",
    size=128,
    descriptor=replace(
        face.descriptor,
        channels=(8, 16, 32, 64, 128, 256),
        kernels=(3, *_FOUR, 4),
        strides=(1, *_TWO, 2),
    ),
    generator=GeneratorConfig(channels=(256, 128, 64, 32, 24), kernels=(*_FOUR, 4)),
    batch_size=16,
    chains=16,
)
"""Of half the chains, so that iterations are as many."""

texture = replace(
    scene,
    preset="texture",
    windows=True,
    descriptor=replace(scene.descriptor, top="map"),
    generator=GeneratorConfig(
        latent=32, start="map", border="cut", channels=(256, 128, 64, 32), kernels=(*_FOUR, 4)
    ),
    generator_optimizer=OptimizerConfig(lr=0.001),
    batch_size=16,
    chains=16,
    lead=0.003,
    slope_on="ends",
    slope_weight=1.0,
)
"""The descriptor of scenes, at every place (docs/textures.md)."""

dynamic_texture = replace(
    texture,
    preset="dynamic-texture",
    frames=64,
    descriptor=DescriptorConfig(
        clips="DEEP", channels=(8, 16, 32, 64, 128), outputs=1, init_std=None
    ),
    generator=GeneratorConfig(
        clips="DEEP", latent=256, border="cut", channels=(128, 128, 64, 32, 16), activation="relu"
    ),
    langevin=replace(
        texture.langevin, sample_steps=9, damping=0.02, sample_tau=0.0, clamp=1.0, metric="data"
    ),
    generator_optimizer=OptimizerConfig(lr=0.0001, decay=0.9, decay_every=40, decay_floor=0.1),
    descriptor_optimizer=replace(_SOON_SLOWER, decay_every=40),
    batch_size=1,
    chains=1,
    teaching=1,
    lead=0.0003,
    slope_on="line",
    slope_weight=2.0,
    data_noise=0.02,
    ema=0.995,
)
"""The networks of pictures with time in them, from the settings of textures on. One clip at a
time, and thin networks, make iterations many; the generator begins as a linear system. Sampling
goes half as far again along f as training does (docs/video.md)."""

# --- The authors' own --------------------------------------------------------------------------

tf_pami_scene = Config(
    preset="tf-pami-scene",
    size=64,
    descriptor=DescriptorConfig(channels=(64, 128, 256), kernels=(5, 3, 3), strides=(2, 2, 1)),
    generator=GeneratorConfig(channels=(512, 256, 128, 64), kernels=(5, 5, 5, 5)),
    langevin=LangevinConfig(steps=15, sample_steps=10, delta=0.002, s=0.016),
    descriptor_optimizer=OptimizerConfig(lr=0.007),
    generator_optimizer=OptimizerConfig(lr=0.0001),
    sigma=0.3,
    batch_size=100,
    chains=144,
    precision="fp32",
)
"""TensorFlow code of the TPAMI paper (jianwen-xie/CoopNets), 64x64 scenes."""

tf_aaai_scene = replace(
    tf_pami_scene,
    preset="tf-aaai-scene",
    langevin=LangevinConfig(steps=10, delta=0.002, s=0.016),
    descriptor_optimizer=OptimizerConfig(lr=0.01),
)
"""TensorFlow code of the AAAI paper (zilongzheng/CoopNets), 64x64 objects and scenes."""

tf_pami_mnist = replace(
    tf_pami_scene,
    preset="tf-pami-mnist",
    size=28,
    image_channels=1,
    descriptor=DescriptorConfig(channels=(64, 128, 256), kernels=(4, 4, 4), strides=(2, 2, 2)),
    generator=GeneratorConfig(channels=(512, 256, 128), kernels=(4, 4, 4)),
)
"""TensorFlow code of the TPAMI paper, MNIST."""

pt_cifar = Config(
    preset="pt-cifar",
    size=32,
    descriptor=DescriptorConfig(
        channels=(64, 128, 256),
        kernels=(5, 3, 3),
        strides=(2, 2, 1),
        padding=(1, 1, 1),
        slope=0.01,
        init_std=None,
    ),
    generator=GeneratorConfig(
        channels=(256, 128, 64),
        kernels=(5, 5, 5),
        norm_scale=True,
        norm_eps=1e-5,
        slope=0.01,
        init_std=None,
    ),
    langevin=LangevinConfig(steps=10, sample_steps=8, delta=0.001, s=0.016, tau=0.0),
    descriptor_optimizer=OptimizerConfig(lr=0.003),
    generator_optimizer=OptimizerConfig(lr=0.0001),
    sigma=0.3,
    batch_size=300,
    chains=900,
    precision="fp32",
)
"""The authors' PyTorch port (FANG-Xiaolin/pytorch-CoopNets), CIFAR-10."""

pt_scene = replace(
    pt_cifar,
    preset="pt-scene",
    size=64,
    generator=replace(pt_cifar.generator, channels=(512, 256, 128, 64), kernels=(5, 5, 5, 5)),
    descriptor_optimizer=OptimizerConfig(lr=0.01),
)
"""The authors' PyTorch port, 64x64 scenes."""

_MATLAB = OptimizerConfig(
    kind="sgd",
    momentum=0.5,
    weight_decay=1e-4,
    decay=0.01 ** (1 / 79),  # 80 plateaus over 3,000 iterations, evenly spaced in the logarithm
    decay_every=37,
    decay_floor=0.01,
    bias_rate=2.0,
    cap=8.0,
)

matlab_object = Config(
    preset="matlab-object",
    size=64,
    descriptor=DescriptorConfig(
        channels=(64, 128),
        kernels=(4, 2),
        strides=(2, 1),
        padding=(2, 2),
        outputs=2,
        activation="relu",
    ),
    generator=GeneratorConfig(
        latent=2,
        channels=(512, 256, 128, 64),
        kernels=(5, 5, 5, 5),
        norm_scale=True,
        norm_eps=1e-4,
    ),
    langevin=LangevinConfig(steps=10, delta=0.005, s=0.016),
    descriptor_optimizer=replace(
        _MATLAB, lr=0.07, layer_rates=(1.0, 0.5, 0.2857), per_position=True
    ),
    generator_optimizer=replace(_MATLAB, lr=0.0003),
    sigma=0.3,
    batch_size=100,
    chains=36,
    precision="fp32",
)
"""The authors' Matlab code (enijkamp/coopnet): small sets of aligned objects, two latents."""

matlab_texture = Config(
    preset="matlab-texture",
    size=224,
    descriptor=DescriptorConfig(
        channels=(100, 70, 30),
        kernels=(15, 9, 7),
        strides=(3, 1, 1),
        padding=(7, 4, 3),
        top="none",
        activation="relu",
    ),
    generator=GeneratorConfig(
        latent=1,
        start="map",
        channels=(512, 256, 128, 64),
        kernels=(5, 5, 5, 5, 5),
        norm_scale=True,
        norm_eps=1e-4,
    ),
    langevin=LangevinConfig(steps=30, delta=0.0023, s=0.0023 / 0.3),
    descriptor_optimizer=replace(
        _MATLAB, lr=0.02, per_position=True, cap=20 / 255, decay_every=62
    ),
    generator_optimizer=replace(_MATLAB, lr=1e-6, cap=30.0, decay_every=62),
    sigma=0.3,
    batch_size=1,
    chains=1,
    precision="fp32",
)
"""The authors' Matlab code, textures: one picture, one chain, a 7x7 map of latent numbers, 80
plateaus of the rate over 5,000 iterations."""

tf_dynamic_texture = Config(
    preset="tf-dynamic-texture",
    frames=64,
    size=128,
    descriptor=DescriptorConfig(
        clips="FC_S", channels=(120, 30), outputs=10, activation="relu", init_std=0.001
    ),
    generator=GeneratorConfig(
        clips="FC_S_128", latent=5, channels=(256, 128, 64), activation="relu"
    ),
    langevin=LangevinConfig(steps=10, delta=0.002, s=0.016),
    descriptor_optimizer=OptimizerConfig(lr=0.01),
    generator_optimizer=OptimizerConfig(lr=0.0002),
    sigma=1.0,
    batch_size=1,
    chains=2,
    precision="fp32",
)
"""The authors' TensorFlow code of the spatial-temporal model, one clip of 64 frames of 128x128.

Their loss of the generator is a mean over all numbers of a clip, ours a sum over 2 sigma^2: Adam
does not know the difference.
"""

PRESETS: dict[str, Config] = {
    c.preset: c
    for c in (
        digits, demo, cifar, scene, face, object_128, texture,
        dynamic_texture,
        tf_pami_scene, tf_aaai_scene, tf_pami_mnist, pt_cifar, pt_scene,
        matlab_object, matlab_texture, tf_dynamic_texture,
    )
}  # fmt: skip

ABOUT: dict[str, str] = {
    "digits": "28x28 grey digits",
    "demo": "28x28 grey digits, small networks",
    "cifar": "32x32 colour",
    "scene": "64x64 scenes and objects",
    "face": "64x64 faces",
    "object-128": "128x128 objects and scenes",
    "texture": "one picture of a texture, or several; samples of any size",
    "dynamic-texture": "a video, or several; samples of any length",
    "tf-pami-scene": "the authors' TensorFlow code of the TPAMI paper, 64x64 scenes",
    "tf-aaai-scene": "the authors' TensorFlow code of the AAAI paper, 64x64 objects and scenes",
    "tf-pami-mnist": "the authors' TensorFlow code of the TPAMI paper, MNIST",
    "pt-cifar": "the authors' PyTorch port, CIFAR-10",
    "pt-scene": "the authors' PyTorch port, 64x64 scenes",
    "matlab-object": "the authors' Matlab code, small sets of aligned 64x64 objects",
    "matlab-texture": "the authors' Matlab code, one 224x224 texture",
    "tf-dynamic-texture": "the authors' spatial-temporal code, one video of 64 frames of 128x128",
}

MINUTES: dict[str, float] = {
    "digits": 60, "demo": 5, "cifar": 45, "scene": 60, "face": 60, "object-128": 60, "texture": 15,
    "dynamic-texture": 45,
}  # fmt: skip
"""How long ours are trained unless something else is said; the authors' need to be told."""


def preset(name: str) -> Config:
    """The preset of that name.

    Raises:
        CoopNetsError: there is none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise CoopNetsError(
            f"there is no preset {name!r}: choose one of {', '.join(PRESETS)}"
        ) from None
