"""List each row of the paper's tables: its config, command, published figure, cost, and own result."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from ..utils.errors import UsageError

EXAMPLES = """examples:
  python tools/list_experiments.py
  python tools/list_experiments.py imagenet resnet-101
  python tools/list_experiments.py c100+ saliencymix --json
"""
# That no row has the words is a verdict.
ERRORS = {UsageError: 1}
_PACKAGE = Path(__file__).parents[1]
# An installed package has the configs in mim's folder.
ROOT = _PACKAGE / ".mim" if (_PACKAGE / ".mim").is_dir() else _PACKAGE.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", help="only rows that contain all of these words")
    parser.add_argument("--results", default=ROOT / "results", help="folder of results (default: the project's)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> None:
    from ..experiments import format_rows, list_experiments

    # `| head` may close the pipe early.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if options.results != ROOT / "results" and not Path(options.results).is_dir():
        raise FileNotFoundError(f"--results should be a folder, got {options.results}, which is none")
    rows = list_experiments(options.words, options.results, ROOT)
    if not rows:
        raise UsageError(f"no row has {' and '.join(options.words)}; without words, all rows are listed.")
    print(json.dumps(rows, indent=2, ensure_ascii=False) if options.json else format_rows(rows))
