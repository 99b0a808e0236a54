"""Command line of `smix_mm.visualization.compare_cam.compare_cam`."""

import argparse
import sys
from pathlib import Path

from smix_mm.utils.command_line import add_cfg_options, run_command

EXAMPLES = """examples:
  python tools/compare_cam.py CONFIG baseline=b.pth saliencymix=s.pth --images dog.jpg cat.jpg --out cam.png
"""


def named_files(texts: list[str]) -> dict[str, str]:
    """``NAME=FILE`` by name; a file alone is named by itself."""
    pairs = [text.partition("=") for text in texts]
    return {name if equals else Path(name).stem: file if equals else name for name, equals, file in pairs}


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Class activation maps of several checkpoints beside each other on the same images.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config of the classifier")
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=CHECKPOINT", help="a column each")
    parser.add_argument("--images", nargs="+", required=True, help="a row each")
    parser.add_argument("--label", type=int, help="class of all maps (default: the first checkpoint's choice)")
    parser.add_argument("--out", default="cam.png", help="PNG to write (default: cam.png)")
    add_cfg_options(parser)
    options = parser.parse_args()

    from smix_mm.engine.launch import report_errors
    from smix_mm.utils.errors import UsageError
    from smix_mm.visualization.compare_cam import compare_cam

    def run() -> None:
        try:
            files = named_files(options.checkpoints)
            settings = dict(label=options.label, cfg_options=options.cfg_options)
            print(compare_cam(options.config, files, options.images, options.out, **settings))
        except UsageError as error:
            raise UsageError(str(error)) from error

    return report_errors(run)


if __name__ == "__main__":
    sys.exit(run_command(main))
