"""Command line of `smix_mm.experiments.list_experiments`."""

import argparse
import json
import signal
import sys
from pathlib import Path

from smix_mm.experiments import format_rows, list_experiments
from smix_mm.utils.command_line import run_command
from smix_mm.utils.errors import DataError

EXAMPLES = """examples:
  python tools/list_experiments.py
  python tools/list_experiments.py imagenet resnet-101
  python tools/list_experiments.py c100+ saliencymix --json
"""
ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Each row of the paper's tables: its config, the command, the paper's figure, its cost, and ours.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", help="only rows that have all of these words somewhere")
    parser.add_argument("--results", default=ROOT / "results", help="folder of results (default: the project's)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    # `| head` may stop reading early.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        rows = list_experiments(options.words, options.results, ROOT)
    except DataError as error:
        print(f"list_experiments.py: {error}", file=sys.stderr)
        return 2
    if not rows:
        print(f"list_experiments.py: no row has {' and '.join(options.words)}; wanted words of a row", file=sys.stderr)
        return 1
    print(json.dumps(rows, indent=2, ensure_ascii=False) if options.json else format_rows(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
