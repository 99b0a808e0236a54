"""Command line of `smix_mm.transfer.study`."""

import argparse
import sys

from smix_mm.transfer.steps import StepError
from smix_mm.transfer.study import StudyError, run_study

EXAMPLES = """examples:
  python tools/study.py run configs/demo/study.py --work-dir work_dirs/demo
Started again, it leaves alone what is finished and goes on where it was interrupted.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Pretrain several arms, fine-tune a detector from each, and compare.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run all that is not finished, then print and write the table")
    run.add_argument("study", help="config of the study")
    run.add_argument("--work-dir", required=True, help="where everything is written")
    options = parser.parse_args()
    try:
        run_study(options.study, options.work_dir)
    except StudyError as error:
        print(f"study.py: {error}", file=sys.stderr)
        return 2
    except StepError as error:
        print(f"study.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("study.py: interrupted; start it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
