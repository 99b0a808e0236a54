"""Draw how a config's own training batches are mixed: source, saliency map, target, result."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.command_line import add_cfg_options

EXAMPLES = """examples:
  python tools/browse_mix.py configs/cifar10/resnet18_saliencymix_cifar10.py
  python tools/browse_mix.py configs/cifar10/resnet18_saliencymix_cifar10.py --html mix.html --number 30
  python tools/browse_mix.py configs/cifar10/resnet18_baseline_cifar10.py --compare --out compare.png
  python tools/browse_mix.py docs/figures/photographs.py --schemes --number 1 --small --out schemes.png
"""
ERRORS = {ImportError: 2, OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="classification config of mmpretrain, with or without mixing")
    parser.add_argument(
        "--out", help="image to write (default: work_dirs/<config's name>/mix.png, or none with --html)"
    )
    parser.add_argument("--html", help="page to write, with a slider through the examples; needs no network")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--schemes", action="store_true", help="all schemes of SaliencyMix on the same pair")
    kind.add_argument(
        "--compare", action="store_true", help="CutMix, the released code and SaliencyMix on the same pair and λ"
    )
    parser.add_argument("--number", type=int, default=6, help="number of examples (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the data, partners and λ (default: 0)")
    parser.add_argument("--small", action="store_true", help="256 colours, for a file of a third of the size")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..visualization import browse_mix

    out = options.out
    if out is None and options.html is None:
        out = Path("work_dirs", Path(options.config).stem, "mix.png")
    kind = "schemes" if options.schemes else "compare" if options.compare else "mix"
    given = {name: getattr(options, name) for name in ("html", "number", "seed", "small", "cfg_options")}
    print(browse_mix(options.config, out=out, kind=kind, **given))
    print("written:", ", ".join(str(path) for path in (out, options.html) if path))
