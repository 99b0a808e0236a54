"""Command line of `smix_mm.datasets.prepare`."""

import sys

from smix_mm.datasets.prepare import main

if __name__ == "__main__":
    sys.exit(main())
