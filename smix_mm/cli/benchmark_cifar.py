"""Measure how many images a second configs train with, data loading and hooks included."""

from __future__ import annotations

import argparse
import sys

from ..utils.command_line import add_cfg_options

EXAMPLES = """examples:
  python tools/benchmark_cifar.py --out cifar_speed.json
  python tools/benchmark_cifar.py configs/cifar10/fast/resnet18_*_cifar10.py
  python tools/benchmark_cifar.py --iterations 20 --cfg-options train_dataloader.batch_size=256
"""
ERRORS = {ImportError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", nargs="*", help="classification configs (default: those of configs/cifar10/fast)")
    parser.add_argument("--iterations", type=int, help="in a round (default: 200 on a GPU, 1 on a CPU)")
    parser.add_argument("--warm-up", type=int, help="iterations before the first round (default: 50, or 1 on a CPU)")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    add_cfg_options(parser, "settings that override each config's")
    parser.add_argument("--made-up", action="store_true", help="train on noise of CIFAR-10's size, which needs no data")
    parser.add_argument("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    from ..benchmarks import cifar
    from ..benchmarks.machine import describe_machine
    from ..engine.launch import errors_of_config
    from ..utils.files import check_output, write_json

    configs = options.configs or cifar.CONFIGS
    if options.out:
        check_output(options.out, *configs)
    rows = []
    for number, config in enumerate(configs, 1):
        print(f"{number} of {len(configs)}: {config}", file=sys.stderr)
        names = ("iterations", "warm_up", "rounds", "cfg_options", "made_up")
        with errors_of_config():
            rows.append(cifar.benchmark_cifar(config, **{name: getattr(options, name) for name in names}))
    print(cifar.format_table(rows))
    if options.out:
        write_json(options.out, {"machine": describe_machine(), "rows": rows})
