"""How good the samples are: distances to real images, Parzen windows, a classifier's view."""

from coopnets.evaluate.evaluate import evaluate
from coopnets.evaluate.features import Extractor, open_extractor
from coopnets.evaluate.records import append_records, read_records

__all__ = ["Extractor", "append_records", "evaluate", "open_extractor", "read_records"]
