"""Command line of `smix_mm.engine.test.test`."""

import sys

from smix_mm.engine.test import main

if __name__ == "__main__":
    sys.exit(main())
