"""Runs the command line of smix_mm/cli/convert_data.py."""

import sys

from smix_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("convert_data"))
