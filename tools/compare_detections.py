"""Command line of `smix_mm.visualization.compare_detections.compare_detections`."""

import argparse
import sys

from smix_mm.utils.command_line import add_cfg_options, run_command

EXAMPLES = """examples:
  python tools/compare_detections.py configs/bccd/faster-rcnn_r18_fpn_bccd.py \\
      baseline=work/baseline/seed0/bccd/seed0/detections.npz cutmix=work/cutmix/seed0/bccd/seed0/detections.npz
  python tools/compare_detections.py CONFIG a=A.npz b=B.npz --images 000012 000345 --out both.png
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Detections of several arms beside each other on the same images, with the true boxes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config of the detector, for where the images are")
    parser.add_argument("files", nargs="+", metavar="NAME=DETECTIONS", help="stored detections (.npz), a column each")
    parser.add_argument("--images", nargs="+", default=[], metavar="ID", help="images (default: drawn by --seed)")
    parser.add_argument("--number", type=int, default=4, help="how many images to draw (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of that draw (default: 0)")
    parser.add_argument("--score", type=float, default=0.5, help="least score of a box shown (default: 0.5)")
    parser.add_argument("--out", default="detections.png", help="PNG to write (default: detections.png)")
    add_cfg_options(parser)
    options = parser.parse_args()

    from smix_mm.engine.launch import report_errors
    from smix_mm.utils.errors import DataError, UsageError
    from smix_mm.visualization.compare_detections import compare_detections

    def run() -> None:
        pairs = [text.partition("=") for text in options.files]
        if not all(file for _, _, file in pairs):
            raise UsageError(f"got {' '.join(options.files)}; wanted NAME=detections.npz for each")
        files = {name: file for name, _, file in pairs}
        settings = dict(images=options.images, number=options.number, seed=options.seed, score=options.score)
        try:
            print(compare_detections(options.config, files, options.out, cfg_options=options.cfg_options, **settings))
        except (UsageError, DataError) as error:
            raise UsageError(str(error)) from error

    return report_errors(run)


if __name__ == "__main__":
    sys.exit(run_command(main))
