"""Command line of `smix_mm.robustness.evaluate.test_robustness`."""

import argparse
import sys

from smix_mm.utils.choices import ATTACKS, CORRUPTIONS
from smix_mm.utils.command_line import add_common_arguments, run_command

EXAMPLES = """examples:
  python tools/test_robustness.py CONFIG CHECKPOINT --attack fgsm --eps 8/255
  python tools/test_robustness.py CONFIG CHECKPOINT --attack apgd --steps 100 --eps 1/255 2/255 8/255 --out robust/
  python tools/test_robustness.py CONFIG CHECKPOINT --attack none --corruptions fog snow --severities 1 3 5
FGSM alone proves little: a net can hide its gradient from one step and still fall to several.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Accuracy of a classifier on clean, attacked and corrupted images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config of a classifier of mmpretrain")
    parser.add_argument("checkpoint", help="weights that training wrote")
    parser.add_argument("--attack", choices=[*ATTACKS, "none"], default="fgsm", help="default: fgsm")
    parser.add_argument("--eps", nargs="+", default=["8/255"], help="largest change of a pixel (default: 8/255)")
    parser.add_argument("--steps", type=int, default=20, help="of pgd and apgd (default: 20)")
    parser.add_argument(
        "--corruptions", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(CORRUPTIONS)}; or all"
    )
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5], help="1 to 5 (default: all)")
    parser.add_argument("--out", help="folder for robustness.json and the curve robustness.png")
    add_common_arguments(parser)
    options = parser.parse_args()

    from smix_mm.engine.launch import export_local_rank, report_errors
    from smix_mm.robustness.evaluate import format_table, test_robustness
    from smix_mm.utils.errors import UsageError

    export_local_rank(options.local_rank)

    def run() -> None:
        if options.steps < 1:
            raise UsageError(f"--steps is {options.steps}; wanted 1 or more")
        figures = test_robustness(
            options.config,
            options.checkpoint,
            attack=None if options.attack == "none" else options.attack,
            eps=options.eps,
            steps=options.steps,
            corruptions=CORRUPTIONS if options.corruptions == ["all"] else options.corruptions,
            severities=options.severities,
            work_dir=options.work_dir,
            out=options.out,
            cfg_options=options.cfg_options,
            launcher=options.launcher,
        )
        print(format_table(figures))

    return report_errors(run)


if __name__ == "__main__":
    sys.exit(run_command(main))
