"""Download a data set if its terms allow it, unpack it to where the configs read it, and check it.

For released-backbones it prints which files to download by hand, and checks them.

examples:
  python tools/prepare_data.py cifar10 --check
  python tools/prepare_data.py voc2007 --root /data --from VOCtrainval_06-Nov-2007.tar VOCtest_06-Nov-2007.tar
  python tools/prepare_data.py coco --check
  python tools/prepare_data.py released-backbones --from model_best.pth.tar --check
  python tools/prepare_data.py imagenet --from /folder/of/the/three/archives --check
  python tools/prepare_data.py imagenet --pack --check
"""

import argparse
from functools import partial
from pathlib import Path

from ..datasets.prepare import DATA_SETS, check_packing, check_prepared, pack_data, prepare_data
from ..datasets.prepare.pack import QUALITY, SHORT_SIDE
from ..utils.errors import CheckpointError, DataError

# An archive that is broken or cannot be downloaded is no wrong use.
ERRORS = {FileNotFoundError: 2, DataError: 1, CheckpointError: 1, OSError: 1, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", choices=list(DATA_SETS), help="which data set")
    add("--root", default="data", help="folder of all data sets (default: data)")
    counted = "afterwards count files and classes and open every listed image, or read every checkpoint"
    add("--check", action="store_true", help=counted)
    archives = "archives that you have already, or a folder of them"
    add("--from", dest="sources", nargs="+", default=[], metavar="ARCHIVE", help=archives)
    add("--pack", action="store_true", help="pack ImageNet's files into large ones of smaller images")
    add_packing(parser)


def add_packing(parser: argparse.ArgumentParser) -> None:
    """Options of commands that pack images."""
    side = f"of packed images, pixels (default: {SHORT_SIDE})"
    parser.add_argument("--short-side", type=int, default=SHORT_SIDE, help=side)
    parser.add_argument("--quality", type=int, default=QUALITY, help=f"of packed JPEGs (default: {QUALITY})")


def run(options: argparse.Namespace) -> int:
    log = partial(print, flush=True)
    if options.pack:
        check_packing(options.name, options.short_side, options.quality)
    # Data that is packed already does not need its files any more.
    packed = options.pack and (Path(options.root) / f"{options.name}-packed").is_dir()
    if not packed:
        prepare_data(options.name, options.root, sources=options.sources, log=log)
    if options.pack:
        pack_data(options.name, options.root, short_side=options.short_side, quality=options.quality, log=log)
    if not options.check:
        return 0
    result = check_prepared(options.name, options.root, packed=options.pack)
    print(result.line())
    return 0 if result.complete else 1
