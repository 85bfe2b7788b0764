"""The report of a run: one page with its pictures, its curves and what they say."""

from coopnets.errors import RunError
from coopnets.report.page import page
from coopnets.runfolder import RunFolder


def write_report(folder: RunFolder) -> None:
    """Write report.html, whole or not at all; an earlier report is replaced.

    Raises:
        RunError: there is no run in the folder, or the page cannot be written.
    """
    text = page(folder)
    fresh = folder.report.with_name(folder.report.name + ".unfinished")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(folder.report)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RunError(f"cannot write {folder.report}: {error.strerror}; make room") from error
