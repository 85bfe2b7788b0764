"""The report of a run."""

from coopnets.runfolder import RunFolder


def write_report(folder: RunFolder) -> None:
    """Write report.html."""
