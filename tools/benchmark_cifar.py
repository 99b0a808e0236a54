"""Command line of `smix_mm.benchmarks.cifar`."""

import argparse
import sys

from smix_mm.utils.command_line import add_cfg_options, run_command

EXAMPLES = """examples:
  python tools/benchmark_cifar.py --out cifar_speed.json
  python tools/benchmark_cifar.py configs/cifar10/fast/resnet18_baseline.py configs/cifar10/resnet18_baseline.py
  python tools/benchmark_cifar.py --iterations 20 --cfg-options train_dataloader.batch_size=256
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Count the images a second that configs train with, data loading and hooks included.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("configs", nargs="*", help="classification configs (default: the fast ones)")
    parser.add_argument("--iterations", type=int, help="in a round (default: 200 on a GPU, 1 on a CPU)")
    parser.add_argument("--warm-up", type=int, help="iterations before the first round (default: 50, or 1 on a CPU)")
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds (default 5)")
    add_cfg_options(parser, "laid over each config")
    parser.add_argument(
        "--made-up", action="store_true", help="train on noise of CIFAR-10's size, where it is not at hand"
    )
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()

    import torch

    from smix_mm.benchmarks.cifar import CONFIGS, benchmark_cifar, format_table, not_measured_on_gpu
    from smix_mm.benchmarks.saliency import describe_machine
    from smix_mm.utils.errors import UsageError
    from smix_mm.utils.files import write_json

    configs = options.configs or CONFIGS
    rows = []
    try:
        for number, config in enumerate(configs, 1):
            print(f"{number} of {len(configs)}: {config}", file=sys.stderr)
            row = benchmark_cifar(
                config,
                iterations=options.iterations,
                warm_up=options.warm_up,
                rounds=options.rounds,
                cfg_options=options.cfg_options,
                made_up=options.made_up,
            )
            rows.append(row)
    except (UsageError, ImportError, FileNotFoundError) as error:
        print(f"benchmark_cifar.py: {error}", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        rows += not_measured_on_gpu(configs)
    print(format_table(rows))
    if options.out:
        write_json(options.out, {"machine": describe_machine(), "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
