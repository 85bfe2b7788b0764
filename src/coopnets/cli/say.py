"""What commands say beside their result."""

import sys


def say(line: str) -> None:
    """A line on stderr, in one write: those of several processes must not run into one another."""
    sys.stderr.write(f"{line}\n")
