"""Draw detections of several arms beside each other, with the true boxes, and print their AP by class."""

from __future__ import annotations

import argparse
import os

from ..utils.command_line import add_cfg_options
from ..utils.errors import UsageError

EXAMPLES = """examples:
  python tools/compare_detections.py configs/bccd/faster-rcnn_r18_fpn_bccd.py \\
      baseline=work/baseline/seed0/bccd/seed0/detections.npz cutmix=work/cutmix/seed0/bccd/seed0/detections.npz
  python tools/compare_detections.py CONFIG a=A.npz b=B.npz --images 000012 000345 --out both.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config of the detector, which names the folder of the images")
    parser.add_argument("files", nargs="+", metavar="NAME=DETECTIONS", help="stored detections (.npz), a column each")
    parser.add_argument("--images", nargs="+", default=[], metavar="ID", help="images (default: drawn at random)")
    parser.add_argument("--number", type=int, default=4, help="how many images to draw at random (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of that draw (default: 0)")
    parser.add_argument("--score", type=float, default=0.5, help="lowest score of a box shown (default: 0.5)")
    parser.add_argument("--out", default="detections.png", help="PNG to write (default: detections.png)")
    parser.add_argument("--metric", default="voc/mAP_11point", help="of the table (default: voc/mAP_11point)")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import errors_of_config
    from ..evaluation.by_class import compare_classes
    from ..visualization.compare_detections import compare_detections

    pairs = [text.partition("=") for text in options.files]
    if not all(file for _, _, file in pairs):
        raise UsageError(f"each file should be given as NAME=detections.npz, got {' '.join(options.files)}.")
    files = {name: file for name, _, file in pairs}
    for file in (options.config, *files.values()):
        if os.path.exists(options.out) and os.path.exists(file) and os.path.samefile(options.out, file):
            raise UsageError(f"--out should be a new PNG, got {options.out}, which is the input {file}.")
    settings = dict(images=options.images, number=options.number, seed=options.seed, score=options.score)
    with errors_of_config():
        print(compare_detections(options.config, files, options.out, cfg_options=options.cfg_options, **settings))
        print(compare_classes(files, options.metric))
