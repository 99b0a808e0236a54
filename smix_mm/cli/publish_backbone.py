"""Write the backbone of a checkpoint to a file that any detector's init_cfg can load."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  python tools/publish_backbone.py work_dirs/resnet18_saliencymix_cifar10/epoch_200.pth backbone.pth
  python tools/publish_backbone.py resnet50-torchvision.pth backbone.pth
  python tools/publish_backbone.py plain.pth backbone.pth --channel-order rgb \\
      --mean 123.675 116.28 103.53 --std 58.395 57.12 57.375
"""
ERRORS = {OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="checkpoint of mmengine, torchvision or timm")
    parser.add_argument("out", help="file to write")
    parser.add_argument(
        "--raw", action="store_true", help="publish the trained weights instead of their moving average (EMA)"
    )
    parser.add_argument(
        "--channel-order", choices=("rgb", "bgr"), help="of the training images, if the checkpoint lacks it"
    )
    parser.add_argument("--mean", type=float, nargs=3, help="of the training images, if the checkpoint lacks it")
    parser.add_argument("--std", type=float, nargs=3, help="of the training images, if the checkpoint lacks it")


def run(options: argparse.Namespace) -> None:
    from ..transfer import publish_backbone

    meta = publish_backbone(
        options.checkpoint,
        options.out,
        weights="raw" if options.raw else "averaged",
        channel_order=options.channel_order,
        mean=options.mean,
        std=options.std,
    )
    for name, value in meta.items():
        print(f"{name:>14}  {'not known' if value is None else value}")
