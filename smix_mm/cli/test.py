"""Command line of `smix_mm.engine.test.test`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.command_line import add_common_arguments, run_command

EXAMPLES = """examples:
  python tools/test.py configs/cifar10/resnet18_saliencymix.py work_dirs/resnet18_saliencymix/epoch_200.pth
  python tools/test.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py epoch_4.pth --metrics metrics.json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="test.py",
        description="Evaluate a classifier or a detector on its config's test set.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file of mmpretrain or MMDetection")
    parser.add_argument("checkpoint", help="weights that training wrote")
    parser.add_argument("--out", help="write the predictions to this .pkl file")
    parser.add_argument("--metrics", help="write the figures to this .json file")
    parser.add_argument("--show-dir", help="write images with predictions to this folder")
    add_common_arguments(parser)
    options = parser.parse_args(arguments)

    from ..engine.launch import export_local_rank, report_errors
    from ..engine.test import test

    export_local_rank(options.local_rank)
    return report_errors(
        lambda: test(
            options.config,
            options.checkpoint,
            work_dir=options.work_dir,
            out=options.out,
            metrics=options.metrics,
            show_dir=options.show_dir,
            cfg_options=options.cfg_options,
            launcher=options.launcher,
        )
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
