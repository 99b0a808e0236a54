"""Command line of `smix_mm.transfer.publish_backbone`."""

import argparse
import sys

from smix_mm.utils.command_line import run_command

EXAMPLES = """examples:
  python tools/publish_backbone.py work_dirs/resnet18_saliencymix/epoch_200.pth backbone.pth
  python tools/publish_backbone.py resnet50-torchvision.pth backbone.pth
  python tools/publish_backbone.py plain.pth backbone.pth --channel-order rgb \\
      --mean 123.675 116.28 103.53 --std 58.395 57.12 57.375
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Write the backbone of a checkpoint to a file that any detector's init_cfg can load.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="checkpoint of mmengine, torchvision or timm")
    parser.add_argument("out", help="file to write")
    parser.add_argument("--raw", action="store_true", help="with an EMA, the trained weights, not their average")
    parser.add_argument("--channel-order", choices=("rgb", "bgr"), help="of the training images, if not recorded")
    parser.add_argument("--mean", type=float, nargs=3, help="of the training images, if not recorded")
    parser.add_argument("--std", type=float, nargs=3, help="of the training images, if not recorded")
    options = parser.parse_args()

    from smix_mm.transfer import publish_backbone

    try:
        meta = publish_backbone(
            options.checkpoint,
            options.out,
            weights="raw" if options.raw else "averaged",
            channel_order=options.channel_order,
            mean=options.mean,
            std=options.std,
        )
    except (OSError, ValueError) as error:
        print(f"publish_backbone.py: {error}", file=sys.stderr)
        return 2
    for name, value in meta.items():
        print(f"{name:>14}  {'not known' if value is None else value}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
