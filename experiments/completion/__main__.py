"""``python -m experiments.completion``, from the root of the repository."""

import sys

from experiments.completion.table import command

sys.exit(command())
