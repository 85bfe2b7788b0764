"""Text and numbers for HTML."""

import math
import re
from html import escape as _escape


def escape(text: str) -> str:
    """Text as it stands, with nothing left that HTML could take for markup."""
    return _escape(text, quote=True)


def prose(text: str) -> str:
    """Escaped text in which `settings` in backticks become code."""
    joined = escape(text).replace("|²", "|\u2060²")  # or a line would break within |x|²
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", joined)


def number(value: float) -> str:
    """A number as a person writes it: 0.05, 200, 3×10⁶."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.6g}".replace("-", "−")
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    factor = f"{value / 10**exponent:.3g}"
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return (power if factor == "1" else f"{factor}×{power}").replace("-", "−")
