"""Draw what a classifier or a detector finds on a folder of images, and write it as JSON.

examples:
  python tools/predict.py configs/bccd/faster-rcnn_r18_fpn_bccd.py epoch_12.pth my_images found
  python tools/predict.py my_classifier.py epoch_100.pth photo.jpg found --device cpu
"""

import argparse

from ..utils.command_line import add_cfg_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="config file of mmpretrain or MMDetection")
    add("checkpoint", help="checkpoint of a training")
    add("images", help="an image, or a folder of images")
    add("out", help="new folder: vis/ with drawn images; preds/ or predictions.json")
    add("--device", help="such as cuda:0 or cpu (default: a GPU if there is one)")
    add("--score", type=float, default=0.3, help="lowest score of a box that is drawn (default: 0.3)")
    add("--batch-size", type=int, default=1, help="images that are run together (default: 1)")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import errors_of_config
    from ..engine.predict import predict

    with errors_of_config():
        number = predict(**vars(options))
    print(f"{number} images: {options.out}")
