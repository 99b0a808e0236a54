"""Command line of `smix_mm.engine.train.train`."""

import sys

from smix_mm.engine.train import main

if __name__ == "__main__":
    sys.exit(main())
