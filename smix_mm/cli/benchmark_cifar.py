"""Measure how many images a second configs train with, data loading and hooks included.

examples:
  python tools/benchmark_cifar.py --out cifar_speed.json
  python tools/benchmark_cifar.py configs/cifar10/fast/resnet18_*_cifar10.py
  python tools/benchmark_cifar.py --iterations 20 --cfg-options train_dataloader.batch_size=256
"""

import argparse
import sys

from ..utils.command_line import add_cfg_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("configs", nargs="*", help="classification configs (default: those of configs/cifar10/fast)")
    add("--iterations", type=int, help="in a round (default: 200 on a GPU, 1 on a CPU)")
    add("--warm-up", type=int, help="iterations before the first round (default: 50, or 1 on a CPU)")
    add("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    add_cfg_options(parser, "settings that override each config's")
    add("--made-up", action="store_true", help="train on noise of CIFAR-10's size, which needs no data")
    add("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    from ..benchmarks import cifar
    from ..benchmarks.machine import describe_machine
    from ..engine.launch import errors_of_config
    from ..utils.files import check_output, write_json

    settings = vars(options)
    configs, out = settings.pop("configs") or cifar.CONFIGS, settings.pop("out")
    if out:
        check_output(out, *configs)
    rows = []
    for number, config in enumerate(configs, 1):
        print(f"{number} of {len(configs)}: {config}", file=sys.stderr)
        with errors_of_config():
            rows.append(cifar.benchmark_cifar(config, **settings))
    print(cifar.format_table(rows))
    if out:
        write_json(out, {"machine": describe_machine(), "rows": rows})
