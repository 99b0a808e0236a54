"""Command line of `smix_mm.benchmarks.training`."""

import argparse
import sys

from smix_mm.utils.command_line import parse_size, run_command

EXAMPLES = """examples:
  python tools/benchmark_training.py --out training.json
  python tools/benchmark_training.py --batch 32 --rounds 20 --threads 1
  python tools/benchmark_training.py mmpretrain::resnet/resnet50_8xb32_in1k.py --batch 256 --size 224 \\
      --device cuda --amp --iterations 20
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Time training steps without mixing and with CutMix, SaliencyMix and OfficialSaliencyMix.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "configs",
        nargs="*",
        default=["configs/cifar10/resnet18_baseline.py"],
        help="classification configs, or mmpretrain::NAME (default: %(default)s)",
    )
    parser.add_argument("--batch", type=int, default=128, help="images a step (default 128)")
    parser.add_argument("--size", type=parse_size, default=(32, 32), help="SIDE or HEIGHTxWIDTH (default 32)")
    parser.add_argument("--iterations", type=int, default=1, help="steps of one arm before the next (default 1)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each arm (default 10)")
    parser.add_argument("--device", default="cpu", help="such as cpu or cuda (default cpu)")
    parser.add_argument("--amp", action="store_true", help="mixed precision (needs a GPU)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()

    import torch

    from smix_mm.benchmarks.training import benchmark_training, describe, format_table, not_measured_on_gpu
    from smix_mm.utils.errors import UsageError
    from smix_mm.utils.files import write_json

    if options.threads:
        torch.set_num_threads(options.threads)
    rows = []
    try:
        for config in options.configs:
            rows += benchmark_training(
                config,
                batch=options.batch,
                size=options.size,
                iterations=options.iterations,
                rounds=options.rounds,
                device=options.device,
                amp=options.amp,
            )
    except (UsageError, ImportError, FileNotFoundError) as error:
        print(f"benchmark_training.py: {error}", file=sys.stderr)
        return 2
    if not torch.cuda.is_available() and options.device == "cpu":
        rows += not_measured_on_gpu()
    print(format_table(rows))
    if options.out:
        write_json(options.out, {"machine": describe(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
