"""``python -m coopnets``, for ``accelerate launch -m coopnets train ...``."""

import sys

from coopnets.cli import main

sys.exit(main())
