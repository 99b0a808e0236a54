"""Draw class activation maps of several checkpoints beside each other on the same images.

examples:
  python tools/compare_cam.py CONFIG baseline=b.pth saliencymix=s.pth --images dog.jpg cat.jpg --out cam.png
"""

import argparse
from pathlib import Path

from ..utils.command_line import add_cfg_options, columns_by_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="config of the classifier")
    add("checkpoints", nargs="+", metavar="NAME=CHECKPOINT", help="checkpoints, a column each")
    add("--images", nargs="+", required=True, help="image files, a row each")
    add("--label", type=int, help="class of all maps (default: the class that the first checkpoint predicts)")
    add("--out", default="cam.png", help="PNG to write (default: cam.png)")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import errors_of_config
    from ..visualization.compare_cam import compare_cam

    pairs = [text.partition("=") for text in options.checkpoints]
    # A file without a name is named by its own.
    named = [(name if equals else Path(name).stem, file or name) for name, equals, file in pairs]
    options.checkpoints = columns_by_name(named)
    with errors_of_config():
        print(compare_cam(**vars(options)))
