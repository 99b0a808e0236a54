"""Measure the accuracy of a classifier on clean, attacked and corrupted images."""

from __future__ import annotations

import argparse

from ..utils.choices import ATTACKS, CORRUPTIONS
from ..utils.command_line import add_common_arguments
from ..utils.errors import UsageError

EXAMPLES = """examples:
  python tools/test_robustness.py CONFIG CHECKPOINT --attack fgsm --eps 8/255
  python tools/test_robustness.py CONFIG CHECKPOINT --attack apgd --steps 100 --eps 1/255 2/255 8/255 --out robust/
  python tools/test_robustness.py CONFIG CHECKPOINT --attack none --corruptions fog snow --severities 1 3 5
FGSM alone proves little: a network can withstand one gradient step and fail under several.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config of a classifier of mmpretrain")
    parser.add_argument("checkpoint", help="checkpoint of a training")
    parser.add_argument("--attack", choices=[*ATTACKS, "none"], default="fgsm", help="default: fgsm")
    parser.add_argument(
        "--eps", nargs="+", default=["8/255"], help="largest change of a pixel, as a fraction (default: 8/255)"
    )
    parser.add_argument("--steps", type=int, default=20, help="of pgd and apgd (default: 20)")
    parser.add_argument(
        "--corruptions", nargs="+", default=[], metavar="NAME", help=f"any of {', '.join(CORRUPTIONS)}; or all"
    )
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5], help="1 to 5 (default: all)")
    parser.add_argument("--out", help="folder for robustness.json and the curve robustness.png")
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import export_local_rank
    from ..robustness.evaluate import format_table, test_robustness

    if options.steps < 1:
        raise UsageError(f"--steps should be at least 1, got {options.steps}.")
    export_local_rank(options.local_rank)
    given = {name: getattr(options, name) for name in ("eps", "steps", "severities", "work_dir", "out", "cfg_options",
                                                       "launcher")}  # fmt: skip
    given["attack"] = None if options.attack == "none" else options.attack
    given["corruptions"] = CORRUPTIONS if options.corruptions == ["all"] else options.corruptions
    print(format_table(test_robustness(options.config, options.checkpoint, **given)))
