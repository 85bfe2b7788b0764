"""Text for HTML."""

import re
from html import escape as _escape


def escape(text: str) -> str:
    """Text as it stands, with nothing left that HTML could take for markup."""
    return _escape(text, quote=True)


def prose(text: str) -> str:
    """Escaped text in which `settings` in backticks become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
