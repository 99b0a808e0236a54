"""Runs the command line of smix_mm/cli/openmmlab.py."""

import sys

from smix_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("openmmlab"))
