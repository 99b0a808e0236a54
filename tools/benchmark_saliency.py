"""Command line of `smix_mm.benchmarks.saliency`."""

import argparse
import sys

from smix_mm.utils.command_line import parse_size, run_command

EXAMPLES = """examples:
  python tools/benchmark_saliency.py --out saliency.json --figure saliency.png
  python tools/benchmark_saliency.py --sizes 32 375x500 --batches 64 --seconds 2 --threads 2
  python tools/benchmark_saliency.py --device cuda --out on_gpu.json
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Time the saliency detectors beside OpenCV in the same run, and print a table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=parse_size, nargs="+", help="each SIDE or HEIGHTxWIDTH")
    parser.add_argument("--batches", type=int, nargs="+", help="images a call")
    parser.add_argument("--seconds", type=float, default=5.0, help="spent on each size and batch (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of every backend (default 1)")
    parser.add_argument(
        "--device", help="time the default detector alone there, such as cuda: called, and captured in a CUDA graph"
    )
    parser.add_argument("--out", help="JSON file to write")
    parser.add_argument("--figure", help="image file to write; needs matplotlib")
    options = parser.parse_args()

    from smix_mm.benchmarks.saliency import BATCHES, SIZES, benchmark, describe_machine, draw_figure, format_table
    from smix_mm.utils.files import write_json

    try:
        if options.device:
            from smix_mm.benchmarks import saliency_gpu as benchmark_gpu

            rows = benchmark_gpu.benchmark_on_device(options.device)
            print(benchmark_gpu.format_table(rows))
            if options.out:
                write_json(options.out, {"machine": describe_machine(), "rows": rows})
            return 0
        result = benchmark(options.sizes or SIZES, options.batches or BATCHES, options.seconds, options.threads)
        print(format_table(result["rows"]))
        if options.out:
            write_json(options.out, result)
        if options.figure:
            draw_figure(result["rows"], options.figure)
    except (ImportError, OSError, ValueError) as error:
        print(f"benchmark_saliency.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
