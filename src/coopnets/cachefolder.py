"""Where things are kept that can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$COOPNETS_CACHE``, else ``~/.cache/coopnets``."""
    return Path(os.environ.get("COOPNETS_CACHE") or "~/.cache/coopnets").expanduser()
