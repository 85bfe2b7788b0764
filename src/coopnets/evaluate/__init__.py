"""How good the samples are: distances to real images, Parzen windows, a classifier's view."""

from coopnets.evaluate.evaluate import SMALLEST, Yardstick, evaluate, evaluate_images
from coopnets.evaluate.features import Extractor, open_extractor
from coopnets.evaluate.judge import Judge, trained_judge
from coopnets.evaluate.records import append_records, read_records

__all__ = [
    "SMALLEST",
    "Extractor",
    "Judge",
    "Yardstick",
    "append_records",
    "evaluate",
    "evaluate_images",
    "open_extractor",
    "read_records",
    "trained_judge",
]
