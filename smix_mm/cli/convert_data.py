"""Convert detection data between VOC, COCO and YOLO format, into a new folder.

examples:
  python tools/convert_data.py my_yolo my_coco --to coco
  python tools/convert_data.py data/VOCdevkit/VOC2007 voc_as_yolo --to yolo --copy
"""

import argparse

INTERRUPTED = "nothing was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    formats = ("voc", "coco", "yolo")
    add("source", help="folder of the data")
    add("out", help="new folder")
    add("--to", required=True, choices=formats, help="format to write")
    add("--from", dest="given", choices=formats, help="format of the data (default: by its files)")
    add("--copy", action="store_true", help="copy the images instead of linking them")


def run(options: argparse.Namespace) -> None:
    from ..datasets.convert import convert_data

    data = convert_data(**vars(options))
    images = ", ".join(f"{part} {len(images)} images" for part, images in data.splits.items())
    print(f"{options.out}: {images} of {len(data.classes)} classes ({', '.join(data.classes)})")
    for note, number in data.notes.items():
        print(f"{number} {note}")
