"""Methods compared at equal training time: run folders, a table, curves and a page."""

from coopnets.compare.comparison import Comparison, is_training
from coopnets.compare.folder import ComparisonFolder
from coopnets.compare.plan import Plan, check, methods_in

__all__ = ["Comparison", "ComparisonFolder", "Plan", "check", "is_training", "methods_in"]
