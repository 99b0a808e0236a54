"""Convert detection data between VOC, COCO and YOLO format, into a new folder."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  python tools/convert_data.py my_yolo my_coco --to coco
  python tools/convert_data.py data/VOCdevkit/VOC2007 voc_as_yolo --to yolo --copy
"""
INTERRUPTED = "nothing was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    formats = ("voc", "coco", "yolo")
    parser.add_argument("source", help="folder of the data")
    parser.add_argument("out", help="new folder")
    parser.add_argument("--to", required=True, choices=formats, help="format to write")
    parser.add_argument("--from", dest="given", choices=formats, help="format of the data (default: by its files)")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking them")


def run(options: argparse.Namespace) -> int:
    from ..datasets.convert import convert_data

    data = convert_data(options.source, options.out, options.to, given=options.given, copy=options.copy)
    images = ", ".join(f"{part} {len(images)} images" for part, images in data.splits.items())
    print(f"{options.out}: {images} of {len(data.classes)} classes ({', '.join(data.classes)})")
    for note, number in data.notes.items():
        print(f"{number} {note}")
    return 0
