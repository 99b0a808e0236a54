"""Write the backbone of a checkpoint to a file that any detector's init_cfg can load.

examples:
  python tools/publish_backbone.py work_dirs/resnet18_saliencymix_cifar10/epoch_200.pth backbone.pth
  python tools/publish_backbone.py resnet50-torchvision.pth backbone.pth --imagenet
  python tools/publish_backbone.py plain.pth backbone.pth --channel-order rgb \\
      --mean 123.675 116.28 103.53 --std 58.395 57.12 57.375
"""

import argparse

ERRORS = {OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", help="checkpoint of mmengine, torchvision or timm")
    add("out", help="file to write")
    add("--raw", action="store_true", help="publish the trained weights instead of their moving average (EMA)")
    stated = parser.add_argument_group("how the training images were prepared, if the checkpoint does not record it")
    stated.add_argument("--imagenet", action="store_true", help="state all of it as for torchvision's ResNets: --style "
                        "pytorch --channel-order rgb, and ImageNet's mean and std")  # fmt: skip
    stated.add_argument("--style", choices=("pytorch", "caffe"), help="caffe: the first 1x1 convolution has the stride")
    stated.add_argument("--channel-order", choices=("rgb", "bgr"))
    stated.add_argument("--mean", type=float, nargs="+", help="for pixels in 0 to 255, or in 0 to 1")
    stated.add_argument("--std", type=float, nargs="+", help="on the same scale")


def run(options: argparse.Namespace) -> None:
    from ..transfer.backbone import IMAGENET, publish_backbone
    from ..utils.errors import UsageError

    stated = {name: getattr(options, name) for name in IMAGENET if getattr(options, name) is not None}
    if options.imagenet and stated:
        raise UsageError(f"--imagenet should be given without --{next(iter(stated)).replace('_', '-')}, got both.")
    meta = publish_backbone(
        options.checkpoint,
        options.out,
        weights="raw" if options.raw else "averaged",
        **(IMAGENET if options.imagenet else stated),
    )
    origin = meta["origin"]
    for name, value in meta.items():
        if name != "origin":
            how = f"  ({origin[name]})" if name in origin else ""
            print(f"{name:>14}  {'not known' if value is None else value}{how}")
    unknown = [name for name in IMAGENET if name not in origin]
    if unknown:
        print(
            f"A load proof cannot compare what is not known; state it with --{' --'.join(unknown)}.".replace("_", "-")
        )
