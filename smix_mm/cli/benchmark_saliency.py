"""Time the saliency detectors beside OpenCV in the same run, and print a table."""

from __future__ import annotations

import argparse

from ..utils.choices import check_minimum
from ..utils.command_line import parse_size

EXAMPLES = """examples:
  python tools/benchmark_saliency.py --out saliency.json --figure saliency.png
  python tools/benchmark_saliency.py --sizes 32 375x500 --batches 64 --seconds 2 --threads 2
  python tools/benchmark_saliency.py --device cuda --out on_gpu.json
"""
ERRORS = {ImportError: 2, OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=parse_size, nargs="+", help="each SIDE or HEIGHTxWIDTH")
    parser.add_argument("--batches", type=int, nargs="+", help="images a call")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each size and batch (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every backend (default: 1)")
    parser.add_argument(
        "--device", help="time only the default detector on this device, such as cuda: called, and in a CUDA graph"
    )
    parser.add_argument("--out", help="JSON file to write")
    parser.add_argument("--figure", help="image file to write; needs matplotlib")


def run(options: argparse.Namespace) -> None:
    from ..benchmarks import saliency
    from ..benchmarks.machine import describe_machine
    from ..utils.files import write_json

    for batch in options.batches or ():
        check_minimum("--batches", batch, 1)
    if options.device:
        rows = saliency.benchmark_on_device(options.device)
        print(saliency.format_device_table(rows))
        if options.out:
            write_json(options.out, {"machine": describe_machine(), "rows": rows})
        return
    result = saliency.benchmark(
        options.sizes or saliency.SIZES, options.batches or saliency.BATCHES, options.seconds, options.threads
    )
    print(saliency.format_table(result["rows"]))
    if options.out:
        write_json(options.out, result)
    if options.figure:
        saliency.draw_figure(result["rows"], options.figure)
