"""Command line of `smix_mm.engine.train.train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.choices import NONFINITE_ACTIONS
from ..utils.command_line import add_common_arguments, run_command

EXAMPLES = """examples:
  python tools/train.py configs/cifar10/resnet18_saliencymix.py
  python tools/train.py configs/cifar10/resnet18_saliencymix.py --resume
  python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py --amp \\
      --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train a classifier or a detector from its config.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file of mmpretrain or MMDetection")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="go on from PATH, or from the newest whole checkpoint in the work dir where no path is given",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision (needs a GPU)")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size")
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument(
        "--on-nonfinite",
        choices=NONFINITE_ACTIONS,
        help="what a loss that is not finite does: stop the run before it touches the weights (default), or skip",
    )
    add_common_arguments(parser)
    options = parser.parse_args(arguments)

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


if __name__ == "__main__":
    sys.exit(run_command(main))
