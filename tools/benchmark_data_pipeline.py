"""Runs the command line of smix_mm/cli/benchmark_data_pipeline.py."""

import sys

from smix_mm.cli import run

if __name__ == "__main__":
    sys.exit(run("benchmark_data_pipeline"))
