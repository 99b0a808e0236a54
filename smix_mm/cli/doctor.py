"""Check that this environment can do what smix_mm needs.

examples:
  python tools/doctor.py --plain
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="omit what only the OpenMMLab part needs")


def run(options: argparse.Namespace) -> int:
    from ..doctor import main

    return main(["--plain"] if options.plain else [])
