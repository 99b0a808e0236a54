"""Show the saliency map of the released code, which passes floats to OpenCV, beside the correct map.

With a folder or several images: how the peaks of both maps are distributed.

examples:
  python tools/show_released_code_map.py skimage:astronaut.png --out map.png
  python tools/show_released_code_map.py data/imagenet/val --number 1000 --out peaks.png --json peaks.json
  python tools/show_released_code_map.py skimage:astronaut.png skimage:coffee.png --crops 100 --out peaks.png
  python tools/show_released_code_map.py FOLDER_OF_CIFAR10 --padding 4 --number 2000 --out padding.png
`skimage:NAME` is a photograph of scikit-image.
"""

import argparse

ERRORS = {OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", nargs="+", help="image files, or folders of them")
    add("--out", help="image file to write")
    add("--json", help="JSON file to write")
    add("--size", type=int, default=224, help="side to resize images to (default: 224)")
    add("--crops", type=int, default=1, help="random square crops of each image (default: 1, the centre crop)")
    add("--number", type=int, help="at most this many files, drawn at random (default: all)")
    add("--seed", type=int, default=0, help="of the random draws (default: 0)")
    padding = "count instead how many peaks of the correct map lie in the padding of a random crop"
    add("--padding", type=int, metavar="PIXELS", help=padding)


def run(options: argparse.Namespace) -> None:
    from ..analysis import padding_peaks, released_code_map
    from ..utils.files import write_json
    from ..visualization.image_files import list_images

    drawn = dict(number=options.number, seed=options.seed)
    if options.padding is not None:
        result = padding_peaks.measure_padding(options.image, padding=options.padding, **drawn)
        print(padding_peaks.format_padding(result))
        if options.out:
            padding_peaks.draw_padding(result, options.out)
    else:
        if options.crops == 1 and len(list_images(options.image)) == 1:
            peaks = released_code_map.show_released_code_map(options.image[0], options.out, size=options.size)
        else:
            given = dict(size=options.size, crops=options.crops, **drawn)
            peaks = released_code_map.measure_released_code_map(options.image, **given)
            if options.out:
                released_code_map.draw_peaks(peaks, options.out)
        print(released_code_map.format_peaks(peaks))
        result = peaks.summary()
    if options.json:
        write_json(options.json, result)
