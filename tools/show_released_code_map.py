"""Command line of `smix_mm.visualization.show_released_code_map` and of what measures it over many images."""

import argparse
import sys

from smix_mm.utils.command_line import run_command

EXAMPLES = """examples:
  python tools/show_released_code_map.py skimage:astronaut.png --out map.png
  python tools/show_released_code_map.py data/imagenet/val --number 1000 --out peaks.png --json peaks.json
  python tools/show_released_code_map.py skimage:astronaut.png skimage:coffee.png --crops 100 --out peaks.png
  python tools/show_released_code_map.py data/cifar10/train --padding 4 --number 2000 --out padding.png
`skimage:NAME` is a photograph that scikit-image brings.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Show the saliency map that the released code gets, by handing OpenCV floats, beside the true one; "
        "with a folder or several images, how the peaks of both are distributed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", nargs="+", help="image file, or folders and several files")
    parser.add_argument("--out", help="image file to write")
    parser.add_argument("--json", help="JSON file to write")
    parser.add_argument("--size", type=int, default=224, help="side that images are resized to (default 224)")
    parser.add_argument("--crops", type=int, default=1, help="random squares of each file (default 1: the middle one)")
    parser.add_argument("--number", type=int, help="files at most, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random (default 0)")
    parser.add_argument("--mean", type=float, nargs=3, help="RGB (default: ImageNet's)")
    parser.add_argument("--std", type=float, nargs=3, help="RGB (default: ImageNet's)")
    parser.add_argument(
        "--padding",
        type=int,
        metavar="PIXELS",
        help="count instead how many peaks of the true map lie in the padding of a random crop",
    )
    options = parser.parse_args()
    try:
        run(options)
    except (ImportError, OSError, ValueError) as error:
        print(f"show_released_code_map.py: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure or draw what was asked for."""
    from smix_mm.analysis.padding_peaks import draw_padding, format_padding, measure_padding
    from smix_mm.analysis.released_code_map import (
        draw_peaks,
        format_peaks,
        measure_released_code_map,
        show_released_code_map,
    )
    from smix_mm.utils.constants import IMAGENET_MEAN, IMAGENET_STD
    from smix_mm.utils.files import write_json
    from smix_mm.visualization.image_files import list_images

    if options.padding is not None:
        result = measure_padding(options.image, padding=options.padding, number=options.number, seed=options.seed)
        print(format_padding(result))
        if options.out:
            draw_padding(result, options.out)
    else:
        normalisation = dict(size=options.size, mean=options.mean or IMAGENET_MEAN, std=options.std or IMAGENET_STD)
        if options.crops == 1 and len(list_images(options.image)) == 1:
            peaks = show_released_code_map(options.image[0], options.out, **normalisation)
        else:
            peaks = measure_released_code_map(
                options.image, crops=options.crops, number=options.number, seed=options.seed, **normalisation
            )
            if options.out:
                draw_peaks(peaks, options.out)
        print(format_peaks(peaks))
        result = peaks.summary()
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    sys.exit(run_command(main))
