"""Write a short config for your own images: a folder of classes, VOC format or COCO format.

examples:
  python tools/new_config.py --data my_images my_classifier.py
  python tools/new_config.py --data my_images --backbone resnet18 --mix cutmix my_classifier.py
  python tools/new_config.py --data my_voc --backbone resnet50 --weights backbone.pth my_detector.py
"""

import argparse

from ..new_config import BACKBONES, MIXES, new_config

ERRORS = {OSError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("out", help="config to write (.py)")
    add(
        "--data",
        required=True,
        metavar="FOLDER",
        help="train/<class>/ and val/<class>/, for a classifier; Annotations/ and ImageSets/Main/ (VOC format) or JSON "
        "files for train and val (COCO format), for a detector",
    )
    add("--backbone", choices=BACKBONES, default="resnet50", help="default: resnet50")
    add("--weights", metavar="FILE", help="published backbone to start from (default: random weights)")
    add("--mix", choices=MIXES, default="saliencymix", help="of a classifier's batches (default: saliencymix)")


def run(options: argparse.Namespace) -> None:
    layout = new_config(**vars(options))
    kind = {"classes": "class folders", "voc": "VOC format", "coco": "COCO format"}[layout.kind]
    print(f"Wrote {options.out}: {kind}, {len(layout.classes)} classes, {layout.number} training images.")
    print(f"Next: check_data.py {options.out} checks every image; train.py {options.out} trains.")
