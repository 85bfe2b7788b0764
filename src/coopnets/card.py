"""The model card that goes with a saved model."""

from typing import Any

from coopnets.config import Config, flatten


def model_card(config: Config, about: dict[str, Any]) -> str:
    """README.md of a saved model: preset, data, training, metrics, samples, how to use it."""
    data, metrics = about.get("data", {}), about.get("metrics", {})
    rows = "\n".join(f"| {k} | {v} |" for k, v in sorted(metrics.items()))
    settings = "\n".join(f"| {k} | {v} |" for k, v in flatten(config))
    return f"""---
library_name: coopnets
tags: [energy-based-model, cooperative-learning, image-generation]
pipeline_tag: unconditional-image-generation
---
# CoopNets, preset {config.preset}

An energy-based descriptor and a latent-variable generator trained together by MCMC teaching
(Xie, Lu, Gao, Zhu, Wu, *Cooperative Training of Descriptor and Generator Networks*, TPAMI 2018).

![samples](samples.png)

```python
from coopnets import CoopNets
model = CoopNets.from_pretrained("this/repository")
images = model.sample(64)  # (64, {config.image_channels}, {config.size}, {config.size}) in [-1, 1]
```

## Training

Data: {data.get("source", "unknown")}, split {data.get("split", "unknown")}, \
{data.get("images", "unknown")} images. Iterations: {about.get("iteration", "unknown")}. \
Training time: {about.get("seconds", 0) / 60:.0f} minutes.

| last metrics | |
| --- | --- |
{rows}

## Settings

| field | value |
| --- | --- |
{settings}
"""
