"""The model card that goes with a saved model."""

from typing import Any

from coopnets.concern import concerns
from coopnets.config import Config, flatten, image_shape

METHODS = {
    "coopnets": "An energy-based descriptor and a latent-variable generator trained together by "
    "MCMC teaching (Xie, Lu, Gao, Zhu, Wu, *Cooperative Training of Descriptor and Generator "
    "Networks*, TPAMI 2018).",
    "dcgan": "A generator trained against a discriminator (Radford, Metz, Chintala, ICLR 2016).",
    "wgan": "A generator trained on a critic's estimate of the Wasserstein distance (Arjovsky, "
    "Chintala, Bottou, ICML 2017).",
    "vae": "The generator of a variational autoencoder (Kingma, Welling, ICLR 2014).",
    "descriptor": "An energy-based model without generator, its chains started at noise (Nijkamp, "
    "Hill, Zhu, Wu, NeurIPS 2019).",
    "generator": "A generator trained by alternating back-propagation (Han, Lu, Zhu, Wu, AAAI "
    "2017).",
}


def model_card(config: Config, about: dict[str, Any]) -> str:
    """README.md of a saved model: preset, data, training, metrics, samples, how to use it."""
    data, metrics = about.get("data", {}), about.get("metrics", {})
    rows = "\n".join(f"| {k} | {v} |" for k, v in sorted(metrics.items()))
    used = [(k, v) for k, v in flatten(config) if concerns(k, config.method)]
    settings = "\n".join(f"| {k} | {v} |" for k, v in used)
    cooperative = config.method == "coopnets"
    title = "CoopNets" if cooperative else f"{config.method} by coopnets"
    tags = "energy-based-model, cooperative-learning, " if cooperative else ""
    count, what = (4, "clips") if config.frames else (64, "images")
    shape = ", ".join(str(n) for n in (count, *image_shape(config)))
    drawn = f"{what} = model.sample({count})  # ({shape}) in [-1, 1]"
    kind = "video" if config.frames else "image"
    examples = f"{data.get('images', 'unknown')} {'examples' if config.frames else 'images'}"
    return f"""---
library_name: coopnets
tags: [{tags}{kind}-generation]
pipeline_tag: unconditional-image-generation
---
# {title}, preset {config.preset}

{METHODS[config.method]}

![samples](samples.png)

```python
from coopnets import CoopNets
model = CoopNets.from_pretrained("this/repository")
{drawn}
```

## Training

Data: {data.get("source", "unknown")}, split {data.get("split", "unknown")}, \
{examples}. Iterations: {about.get("iteration", "unknown")}. \
Training time: {about.get("seconds", 0) / 60:.0f} minutes.

| last metrics | |
| --- | --- |
{rows}

## Settings

| field | value |
| --- | --- |
{settings}
"""
