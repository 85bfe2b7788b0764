"""``python -m experiments.completion``, from the root of the repository."""

import sys

from experiments.completion.make import main

sys.exit(main())
