"""Draw class activation maps of several checkpoints beside each other on the same images."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.command_line import add_cfg_options

EXAMPLES = """examples:
  python tools/compare_cam.py CONFIG baseline=b.pth saliencymix=s.pth --images dog.jpg cat.jpg --out cam.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config of the classifier")
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=CHECKPOINT", help="checkpoints, a column each")
    parser.add_argument("--images", nargs="+", required=True, help="image files, a row each")
    parser.add_argument(
        "--label", type=int, help="class of all maps (default: the class that the first checkpoint predicts)"
    )
    parser.add_argument("--out", default="cam.png", help="PNG to write (default: cam.png)")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import errors_of_config
    from ..visualization.compare_cam import compare_cam

    pairs = [text.partition("=") for text in options.checkpoints]
    # A file without a name is named by its own.
    checkpoints = {name if equals else Path(name).stem: file if equals else name for name, equals, file in pairs}
    settings = dict(label=options.label, cfg_options=options.cfg_options)
    with errors_of_config():
        print(compare_cam(options.config, checkpoints, options.images, options.out, **settings))
