"""Draw detections of several arms beside each other, with the true boxes, and print their AP by class.

examples:
  python tools/compare_detections.py configs/bccd/faster-rcnn_r18_fpn_bccd.py \\
      baseline=work/baseline/seed0/bccd/seed0/detections.npz cutmix=work/cutmix/seed0/bccd/seed0/detections.npz
  python tools/compare_detections.py CONFIG a=A.npz b=B.npz --images 000012 000345 --out both.png
"""

import argparse

from ..utils.choices import check_option
from ..utils.command_line import add_cfg_options, columns_by_name
from ..utils.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="config of the detector, which names the folder of the images")
    add("files", nargs="+", metavar="NAME=DETECTIONS", help="stored detections (.npz), a column each")
    add("--images", nargs="+", default=[], metavar="ID", help="images (default: drawn at random)")
    add("--number", type=int, default=4, help="how many images to draw at random (default: 4)")
    add("--seed", type=int, default=0, help="of that draw (default: 0)")
    add("--score", type=float, default=0.5, help="lowest score of a box shown (default: 0.5)")
    add("--out", default="detections.png", help="PNG to write (default: detections.png)")
    add("--metric", default="voc/mAP_11point", help="of the table (default: voc/mAP_11point)")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import errors_of_config
    from ..evaluation.average_precision import CLASSWISE, compare_classes
    from ..visualization.compare_detections import compare_detections

    pairs = [text.partition("=") for text in options.files]
    if not all(file for _, _, file in pairs):
        raise UsageError(f"each file should be given as NAME=detections.npz, got {' '.join(options.files)}.")
    files = options.files = columns_by_name([(name, file) for name, _, file in pairs])
    settings = vars(options)
    metric = settings.pop("metric")
    check_option("--metric", metric, CLASSWISE)  # before the figure is written
    with errors_of_config():
        print(compare_detections(**settings))
        print(compare_classes(files, metric))
