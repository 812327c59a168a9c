"""``python -m distfit``."""

import sys

from distfit.cli import main

if __name__ == "__main__":
    sys.exit(main())
