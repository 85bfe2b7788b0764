"""``coopnets complete``."""

import json as json_module
from pathlib import Path
from typing import Any, Literal

import tyro

from coopnets.cli.say import say
from coopnets.complete.latent import SIGMA, STARTS, STEPS
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets


def complete(
    run: tyro.conf.Positional[str],
    images: tyro.conf.Positional[str],
    /,
    mask: str,
    out: Path,
    method: Literal["generator", "descriptor", "both"] | None = None,
    samples: int | None = None,
    steps: int = STEPS,
    starts: int = STARTS,
    sigma: float = SIGMA,
    langevin_steps: int | None = None,
    blend: bool = True,
    truth: bool = True,
    invert_mask: bool = False,
    start: int = 0,
    split: str | None = None,
    limit: int | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    batch_size: int = 100,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Fill in what is missing in pictures, or in clips.

    Writes a PNG for each completion, visible pixels unchanged; sheet.png, damaged | completed |
    truth; and results.json. The last line says the mean error and PSNR over hidden pixels, on
    the scale [0, 1], and SSIM. Interrupted, the command goes on when it is repeated.

    Args:
        run: a run folder, a saved model, or a hub id; of any method.
        images: pictures: a file, a folder or zip, a name, ...; resized as for training, and
            not at all for a model of textures.
        mask: what is missing: random:30 (a square of that side anywhere), center:40, a picture
            (white is missing, or what is transparent), or a folder with one for each picture,
            of the same name. Pictures of masks are as large as the model's images or as the
            pictures themselves. Of clips: the same in every frame, a folder with a picture for
            each frame that is completed, or frames:20-40.
        out: folder to write to.
        method: generator (its latent vector is inferred from what is visible), descriptor
            (missing pixels are revised, visible ones held fixed), or both one after the other;
            by default what the run has.
        samples: draw so many different completions of each picture; by default the one that
            fits best.
        steps: Langevin steps of the latent vector.
        starts: latent vectors to start at.
        sigma: standard deviation of what the generator leaves unexplained; larger than that of
            the training, as neighbouring pixels err alike.
        langevin_steps: steps of revision; by default as in sampling, and ten times as many
            without the generator.
        blend: let the generator's part meet the visible one without a seam.
        truth: compare with what the pictures show under the mask; --no-truth if they are
            really damaged.
        invert_mask: pictures of masks are white where visible.
        start: first frame of a clip that is completed, and as many follow as the model has
            learnt.
        split: part of the data; by default test where there is one, else all.
        limit: only so many pictures.
        data_dir: where named data sets are downloaded to.
        seed: names the random squares and the completions.
        batch_size: pictures at a time; does not change the completions.
        device: cpu, cuda, ...; auto takes an accelerator if there is one.
        json: print the last line as JSON.
    """
    from coopnets.complete.latent import Search
    from coopnets.complete.masks import is_drawn_here
    from coopnets.complete.pictures import complete_pictures
    from coopnets.evaluate.provenance import provenance

    check_counts(
        samples=samples, langevin_steps=langevin_steps, limit=limit, batch_size=batch_size,
        start=start,
    )  # fmt: skip
    search = Search(steps=steps, starts=starts, sigma=sigma)
    model = CoopNets.from_pretrained(run, device)
    c = model.config
    completer = model.completer(
        method=method, search=search, langevin_steps=langevin_steps, blend=blend, seed=seed
    )
    idle = {
        "generator": {"--langevin-steps": langevin_steps is not None},
        "descriptor": {
            "--steps": steps != STEPS, "--starts": starts != STARTS, "--sigma": sigma != SIGMA,
            "--no-blend": not blend,
        },
    }  # fmt: skip
    for option, given in idle.get(completer.by, {}).items():
        if given:
            raise CoopNetsError(
                f"{option} does nothing with --method {completer.by}: leave it out"
            )
    if invert_mask and is_drawn_here(mask):
        raise CoopNetsError("--invert-mask is of pictures of masks: leave it out")
    about = {
        "run": run, "images_from": images, "mask": mask, "inverted": invert_mask,
        "split": split, "limit": limit, "method": completer.by, "samples": samples,
        "steps": steps, "starts": starts, "sigma": sigma, "langevin_steps": langevin_steps,
        "blend": blend, "truth": truth, "seed": seed, "iteration": model.about.get("iteration"),
        **provenance(model.device),
    }  # fmt: skip
    if c.frames:
        if data_dir is not None:
            raise CoopNetsError(
                "--data-dir is of named sets of pictures, and this model knows clips"
            )
        from coopnets.complete.clips import clip_masks, complete_clips

        done, means = complete_clips(
            completer, images,
            clip_masks(mask, c, start=start, seed=seed, invert=invert_mask), out, about,
            start=start, split=split, limit=limit, samples=samples, truth=truth,
            device=model.device, say=say,
        )  # fmt: skip
        return _tell(out, completer.by, done, means, json)
    if start:
        raise CoopNetsError("--start is of clips, and this model knows pictures: leave it out")
    done, means = complete_pictures(
        completer, images, mask, out, about,
        invert=invert_mask, split=split, limit=limit, data_dir=data_dir, samples=samples,
        truth=truth, seed=seed, batch_size=batch_size, device=model.device, say=say,
    )  # fmt: skip
    return _tell(out, completer.by, done, means, json)


def check_counts(**numbers: int | None) -> None:
    """Pass options that are counts, by their names; None is one that was not given.

    Raises:
        CoopNetsError: one is too small.
    """
    for name, value in numbers.items():
        least = 0 if name in ("langevin_steps", "start") else 1
        if value is not None and value < least:
            raise CoopNetsError(
                f"--{name.replace('_', '-')} is {value}: it must be at least {least}"
            )


def _tell(out: Path, by: str, done: int, means: dict[str, Any], as_json: bool) -> int:
    told = {"out": str(out), "method": by, "completed": done, **means}
    print(json_module.dumps(told) if as_json else _last_line(means, done, out))
    return 0


def _last_line(means: dict[str, Any], done: int, out: Path) -> str:
    if not means:
        return f"completed {done} into {out}; there is no truth to compare with"
    error, psnr, ssim = (means[name]["mean"] for name in ("error", "psnr", "ssim"))
    return f"error {error:.4f}  PSNR {psnr:.3f} dB  SSIM {ssim:.4f}"
