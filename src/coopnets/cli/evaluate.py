"""``coopnets evaluate``."""

import json as json_module
from pathlib import Path
from typing import Any

import tyro

from coopnets.cli.say import say
from coopnets.data import ImageData, open_images
from coopnets.data.splits import canonical
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets
from coopnets.prepare import whole_pictures


def evaluate(
    run: tyro.conf.Positional[str],
    /,
    data: str,
    split: str = "test",
    samples: int = 10_000,
    features: str = "inception",
    inception_weights: Path | None = None,
    parzen: bool = False,
    classifier: bool = False,
    langevin_steps: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    data_dir: Path | None = None,
    batch_size: int = 100,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Score a run against real images: generator and descriptor side by side.

    A method that trains one of the two alone has one row.

    Frechet distance, kernel distance (KID), Inception score, precision and recall. Only the
    official Inception network gives a FID; other features give a distance of their own name.
    The records are added to evaluation.json in the run folder.

    Args:
        run: a run folder, a saved model, or a hub id.
        data: real images: a name, a folder or zip, Parquet, hf:owner/name, or an array.
        split: part of the data to compare with.
        samples: how many to draw from each.
        features: inception, efficientnet-lite0 (from a pip package, no download), or the file
            of a saved classifier.
        inception_weights: file of the official Inception weights; by default the cache of
            torch.hub. Its checksum is verified.
        parzen: also the Parzen window's log-likelihood of the split, for digits, as published
            and clean; needs the split train.
        classifier: also train a digit classifier once, and let it label the samples; needs
            labels and the split train.
        langevin_steps: steps of the descriptor's chains; by default what the run says.
        seed: names the samples.
        limit: use only this many of the real images.
        data_dir: where named data sets are downloaded to.
        batch_size: samples drawn at a time.
        device: cpu, cuda, ...; auto takes an accelerator if there is one.
        json: print one line of JSON.
    """
    from coopnets.evaluate import (
        SMALLEST,
        Yardstick,
        append_records,
        open_extractor,
        read_records,
        trained_judge,
    )
    from coopnets.evaluate import evaluate as compute

    if samples < SMALLEST or batch_size < 1 or (langevin_steps or 0) < 0:
        raise CoopNetsError(
            f"--samples must be at least {SMALLEST}, --batch-size at least 1, --langevin-steps "
            "at least 0"
        )
    if (parzen or classifier) and canonical(split) == "train":
        raise CoopNetsError("--parzen and --classifier learn on train: give another --split")
    model = CoopNets.from_pretrained(run, device)
    whole_pictures(model.config)
    if langevin_steps is not None and "descriptor" not in model.sources:
        raise CoopNetsError(
            f"the method {model.config.method} has no descriptor: leave out --langevin-steps"
        )
    folder = Path(run)
    if folder.is_dir():
        read_records(folder)  # what stands in the way is said before the work, not after
    extractor = open_extractor(features, weights=inception_weights, device=model.device)
    real = _open(model, data, split, limit, data_dir)
    train = _open(model, data, "train", None, data_dir) if parzen or classifier else None
    judge = None
    if train is not None and classifier:
        test = real if limit is None else _open(model, data, split, None, data_dir)
        judge = trained_judge(train, test, data_dir=data_dir, device=model.device, say=say)
    yardstick = Yardstick(
        real=real, extractor=extractor, train=train if parzen else None, judge=judge
    )
    records = compute(
        model, yardstick, samples=samples, langevin_steps=langevin_steps, seed=seed,
        batch_size=batch_size, say=say,
    )  # fmt: skip
    stored = append_records(folder, records) if folder.is_dir() else None
    if json:
        print(json_module.dumps(records))
        return 0
    _show(records, stored)
    return 0


def _open(
    model: CoopNets, data: str, split: str, limit: int | None, data_dir: Path | None
) -> ImageData:
    """Real images as the model was trained on: size, channels and crop."""
    config = model.config
    return open_images(
        data, size=config.size, channels=config.image_channels, crop=config.crop, split=split,
        limit=limit, data_dir=data_dir, say=say,
    )  # fmt: skip


def _show(records: list[dict[str, Any]], stored: Path | None) -> None:
    """The tables, what they depend on, and the warnings."""
    from coopnets.evaluate.cells import class_cells, digit_cells, score_cells

    first = records[0]
    print(f"run        preset {first['preset']}, method {first['method']}")
    print(f"data       {first['data']}, split {first['split']}, {first['n_real']:,} images")
    print(
        f"samples    {first['n_generated']:,} of seed {first['seed']}, iteration "
        f"{first['iteration']}"
    )
    print(f"features   {first['extractor']}, {first['resize']}")
    print(f"code       coopnets {first['coopnets']}, commit {first['commit'] or 'unknown'}")
    for cells in (score_cells, digit_cells):
        _table({r["source"]: {k: v.replace(" ± ", "\n± ") for k, v in cells(r).items()}
                for r in records})  # fmt: skip
    for record in (r for r in records if "classifier" in r):
        shares = " ".join(class_cells(record).values())
        print(f"classes    {record['source']}, in %: {shares}")
    for warning in dict.fromkeys(w for r in records for w in r["warnings"]):
        print(f"warning    {warning}")
    print(f"{first['seconds']:.1f} s" + (f", stored in {stored}" if stored else ""))


def _table(rows: dict[str, dict[str, str]]) -> None:
    """One row for each source; nothing if there is nothing to show."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    columns = list(next(iter(rows.values())))
    if not columns:
        return
    table = Table(box=SIMPLE)
    table.add_column("", no_wrap=True)
    for name in columns:  # headings may be folded to fit the terminal, numbers may not
        lines = [line for cells in rows.values() for line in cells[name].split("\n")]
        widest = max(len(line) for line in lines)
        table.add_column(name, justify="right", overflow="fold", min_width=widest)
    for source, cells in rows.items():
        table.add_row(source, *cells.values())
    Console().print(table)
