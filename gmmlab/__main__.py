"""`python -m gmmlab` is `gmmlab`."""

import sys

from gmmlab.cli import main

sys.exit(main())
