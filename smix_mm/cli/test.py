"""Evaluate a classifier or a detector on its config's test set.

examples:
  python tools/test.py configs/cifar10/resnet18_saliencymix_cifar10.py work_dirs/resnet18_saliencymix/epoch_200.pth
  python tools/test.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py epoch_4.pth --metrics metrics.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.command_line import add_common_arguments
from . import run as run_command_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="config file of mmpretrain or MMDetection")
    add("checkpoint", help="checkpoint of a training")
    add("--out", help="write the predictions to this .pkl file")
    add("--metrics", help="write the metrics to this .json file")
    add("--show-dir", help="write images with predictions to this folder")
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import export_local_rank
    from ..engine.test import test

    settings = vars(options)
    export_local_rank(settings.pop("local_rank"))
    test(**settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as ``python -m`` and a study do."""
    return run_command_line("test", arguments)


if __name__ == "__main__":
    sys.exit(main())
