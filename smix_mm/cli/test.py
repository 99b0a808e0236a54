"""Evaluate a classifier or a detector on its config's test set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..utils.command_line import add_common_arguments
from . import run as run_command_line

EXAMPLES = """examples:
  python tools/test.py configs/cifar10/resnet18_saliencymix_cifar10.py work_dirs/resnet18_saliencymix/epoch_200.pth
  python tools/test.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py epoch_4.pth --metrics metrics.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config file of mmpretrain or MMDetection")
    parser.add_argument("checkpoint", help="checkpoint of a training")
    parser.add_argument("--out", help="write the predictions to this .pkl file")
    parser.add_argument("--metrics", help="write the metrics to this .json file")
    parser.add_argument("--show-dir", help="write images with predictions to this folder")
    add_common_arguments(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import export_local_rank
    from ..engine.test import test

    export_local_rank(options.local_rank)
    names = ("work_dir", "out", "metrics", "show_dir", "cfg_options", "launcher")
    test(options.config, options.checkpoint, **{name: getattr(options, name) for name in names})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as ``python -m`` and a study do."""
    return run_command_line("test", arguments)


if __name__ == "__main__":
    sys.exit(main())
