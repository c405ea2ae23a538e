"""`python -m routelab` is the command line."""

from __future__ import annotations

import sys

from routelab.cli import main

sys.exit(main())
