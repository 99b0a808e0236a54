"""Draw how a config's own training batches are mixed: source, saliency map, target, result.

examples:
  python tools/browse_mix.py configs/cifar10/resnet18_saliencymix_cifar10.py
  python tools/browse_mix.py configs/cifar10/resnet18_saliencymix_cifar10.py --html mix.html --number 30
  python tools/browse_mix.py configs/cifar10/resnet18_baseline_cifar10.py --compare --out compare.png
  python tools/browse_mix.py docs/figures/photographs.py --schemes --number 1 --small --out schemes.png
"""

import argparse
from pathlib import Path

from ..utils.command_line import add_cfg_options

ERRORS = {OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="classification config of mmpretrain, with or without mixing")
    add("--out", help="image to write (default: work_dirs/<config's name>/mix.png, or none with --html)")
    add("--html", help="page to write, with a slider through the examples; needs no network")
    kind = parser.add_mutually_exclusive_group()
    for name, shown in (
        ("schemes", "all schemes of SaliencyMix on the same pair"),
        ("compare", "CutMix, the released code and SaliencyMix on the same pair and λ"),
    ):
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, default="mix", help=shown)
    add("--number", type=int, default=6, help="number of examples (default: 6)")
    add("--seed", type=int, default=0, help="of the order of the data, partners and λ (default: 0)")
    add("--small", action="store_true", help="256 colours, for a file of a third of the size")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..utils.config import read_config
    from ..visualization import browse_mix

    if options.out is None and options.html is None:
        # An augmentation that is given as an option changes the name.
        named = read_config(options.config, options.cfg_options).filename
        options.out = Path("work_dirs", Path(named).stem, "mix.png")
    print(browse_mix(**vars(options)))
    print("written:", ", ".join(str(path) for path in (options.out, options.html) if path))
