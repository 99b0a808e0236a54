"""List each row of the paper's tables: its config, command, published figure, cost, and own result.

examples:
  python tools/list_experiments.py
  python tools/list_experiments.py imagenet resnet-101
  python tools/list_experiments.py c100+ saliencymix --json
  python tools/list_experiments.py imagenet resnet-50 --gpus 8 --cores 64
"""

import argparse
import json
import signal
from pathlib import Path
from typing import Any

from ..utils.errors import UsageError

# That no row has the words is a verdict.
ERRORS = {UsageError: 1}
_PACKAGE = Path(__file__).parents[1]
# An installed package has the configs in mim's folder.
ROOT = _PACKAGE / ".mim" if (_PACKAGE / ".mim").is_dir() else _PACKAGE.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("words", nargs="*", help="only rows that contain all of these words")
    add("--results", default=ROOT / "results", help="folder of results (default: the project's)")
    add("--json", action="store_true", help="print the rows as JSON")
    add_machine(parser)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Options of commands that estimate hours."""
    parser.add_argument("--gpus", type=int, metavar="N", help="estimate the hours on N GPUs (default: 1)")
    parser.add_argument("--cores", type=int, metavar="N", help="with N CPU cores that load data (default: 1)")
    parser.add_argument("--card", help="use measurements of GPUs whose name contains this (default: all)")


def given_machine(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of :class:`smix_mm.experiments.Machine` that were given."""
    return {name: value for name in ("gpus", "cores", "card") if (value := getattr(options, name)) is not None}


def run(options: argparse.Namespace) -> None:
    from ..experiments import Machine, format_rows, list_experiments

    # `| head` may close the pipe early.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if options.results != ROOT / "results" and not Path(options.results).is_dir():
        raise FileNotFoundError(f"--results should be a folder, got {options.results}, which is none")
    given = given_machine(options)
    machine = Machine(**given) if given else None
    rows = list_experiments(options.words, options.results, ROOT, machine)
    if not rows:
        raise UsageError(f"no row has {' and '.join(options.words)}; without words, all rows are listed.")
    print(json.dumps(rows, indent=2, ensure_ascii=False) if options.json else format_rows(rows))
