"""Time the saliency detectors beside OpenCV in the same run, and print a table.

examples:
  python tools/benchmark_saliency.py --out saliency.json --figure saliency.png
  python tools/benchmark_saliency.py --sizes 32 375x500 --batches 64 --seconds 2 --threads 2
  python tools/benchmark_saliency.py --device cuda --out on_gpu.json
"""

import argparse
from typing import Any

from ..utils.choices import check_minimum
from ..utils.command_line import parse_size

ERRORS = {OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--sizes", type=parse_size, nargs="+", help="each SIDE or HEIGHTxWIDTH")
    add("--batches", type=int, nargs="+", help="images a call")
    add("--seconds", type=float, default=5.0, help="time for each size and batch (default: 5)")
    add("--threads", type=int, default=1, help="CPU threads of every backend (default: 1)")
    add("--device", help="time only the default detector on this device, such as cuda: called, and in a CUDA graph")
    add("--out", help="JSON file to write")
    add("--figure", help="image file to write; needs matplotlib")


def run(options: argparse.Namespace) -> None:
    from ..benchmarks import saliency
    from ..benchmarks.machine import describe_machine
    from ..utils.files import write_json

    check_minimum("--threads", options.threads, 1)
    for batch in options.batches or ():
        check_minimum("--batches", batch, 1)
    if options.device:
        result: dict[str, Any] = {"machine": describe_machine(), "rows": saliency.benchmark_on_device(options.device)}
        print(saliency.format_device_table(result["rows"]))
    else:
        sizes, batches = options.sizes or saliency.SIZES, options.batches or saliency.BATCHES
        result = saliency.benchmark(sizes, batches, options.seconds, options.threads)
        print(saliency.format_table(result["rows"]))
    if options.out:
        write_json(options.out, result)
    if options.figure and not options.device:
        saliency.draw_figure(result["rows"], options.figure)
