"""Command line of `smix_mm.engine.train.train`."""

import sys

from smix_mm.cli.train import main
from smix_mm.utils.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
