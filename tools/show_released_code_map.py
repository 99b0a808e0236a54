"""Runs the command line of smix_mm/cli/show_released_code_map.py."""

import sys

from smix_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("show_released_code_map"))
