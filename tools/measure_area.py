"""Command line of `smix_mm.analysis.replaced_area`."""

import argparse
import sys

from smix_mm.utils.command_line import run_command
from smix_mm.utils.files import write_json

EXAMPLES = """examples:
  python tools/measure_area.py configs/studies/does_saliency_matter/cifar10.py
  python tools/measure_area.py STUDY --batches 10000 --out areas.json
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Count what share of its training images each arm of a study replaces.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", help="config of the study")
    parser.add_argument("--batches", type=int, default=1000, help="how many are mixed by each arm (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the batches and of the mixing (default: 0)")
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()

    from smix_mm.analysis.replaced_area import format_areas, measure_area

    try:
        found = measure_area(
            options.study,
            batches=options.batches,
            seed=options.seed,
            log=lambda line: print(f"\r{line}", end="", file=sys.stderr, flush=True),
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"measure_area.py: {error}", file=sys.stderr)
        return 2
    print(file=sys.stderr)
    print(format_areas(found))
    if options.out:
        write_json(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
