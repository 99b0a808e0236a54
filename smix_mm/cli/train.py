"""Train a classifier or a detector from its config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.choices import NONFINITE_ACTIONS
from ..utils.command_line import add_common_arguments
from . import run as run_command_line

EXAMPLES = """examples:
  python tools/train.py configs/cifar10/resnet18_saliencymix.py
  python tools/train.py configs/cifar10/resnet18_saliencymix.py --resume
  python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py --amp \\
      --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config file of mmpretrain or MMDetection")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="resume from PATH, or without a path from the newest complete checkpoint in the work dir",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision (needs a GPU)")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size")
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument(
        "--on-nonfinite",
        choices=NONFINITE_ACTIONS,
        help="if a loss is not finite: stop before the weights are updated (default), or skip the iteration",
    )
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from ..engine.launch import export_local_rank, report_errors
    from ..engine.train import train

    export_local_rank(options.local_rank)
    return report_errors(
        lambda: train(
            options.config,
            work_dir=options.work_dir,
            resume=options.resume,
            amp=options.amp,
            auto_scale_lr=options.auto_scale_lr,
            no_validate=options.no_validate,
            on_nonfinite=options.on_nonfinite,
            cfg_options=options.cfg_options,
            launcher=options.launcher,
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as ``python -m`` and a study do."""
    return run_command_line("train", arguments)


if __name__ == "__main__":
    sys.exit(main())
