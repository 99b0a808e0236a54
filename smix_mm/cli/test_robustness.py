"""Measure the accuracy of a classifier on clean, attacked and corrupted images.

examples:
  python tools/test_robustness.py CONFIG CHECKPOINT --attack fgsm --eps 8/255
  python tools/test_robustness.py CONFIG CHECKPOINT --attack apgd --steps 100 --eps 1/255 2/255 8/255 --out robust/
  python tools/test_robustness.py CONFIG CHECKPOINT --attack none --corruptions fog snow --severities 1 3 5
FGSM alone proves little: a network can withstand one gradient step and fail under several.
"""

import argparse

from ..utils.choices import ATTACKS, CORRUPTIONS
from ..utils.command_line import add_common_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="config of a classifier of mmpretrain")
    add("checkpoint", help="checkpoint of a training")
    add("--attack", choices=[*ATTACKS, "none"], default="fgsm", help="default: fgsm")
    add("--eps", nargs="+", default=["8/255"], help="largest change of a pixel, as a fraction (default: 8/255)")
    add("--steps", type=int, default=20, help="of pgd and apgd (default: 20)")
    names = f"any of {', '.join(CORRUPTIONS)}; or all"
    add("--corruptions", nargs="+", choices=[*CORRUPTIONS, "all"], default=[], metavar="NAME", help=names)
    severities = range(1, 6)
    add("--severities", nargs="+", type=int, choices=severities, default=[*severities], help="1 to 5 (default: all)")
    add("--out", help="folder for robustness.json and the curve robustness.png")
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import export_local_rank
    from ..robustness.evaluate import format_table, test_robustness

    settings = vars(options)
    export_local_rank(settings.pop("local_rank"))
    if options.attack == "none":
        settings["attack"] = None
    if "all" in options.corruptions:
        settings["corruptions"] = CORRUPTIONS
    print(format_table(test_robustness(**settings)))
