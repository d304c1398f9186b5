"""``python -m screamlab``."""

import sys

from screamlab.cli import main

sys.exit(main())
