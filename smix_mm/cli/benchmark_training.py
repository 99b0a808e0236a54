"""Time training steps without mixing and with CutMix, SaliencyMix and OfficialSaliencyMix."""

from __future__ import annotations

import argparse

from ..utils.command_line import parse_size

EXAMPLES = """examples:
  python tools/benchmark_training.py --out training.json
  python tools/benchmark_training.py --batch 32 --rounds 20 --threads 1 --rivals
  python tools/benchmark_training.py configs/imagenet/resnet50_baseline_in1k.py --batch 256 --size 224 \\
      --device cuda --amp --iterations 20
"""
ERRORS = {ImportError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "configs",
        nargs="*",
        default=["configs/cifar10/resnet18_baseline_cifar10.py"],
        help="classification configs (default: configs/cifar10/resnet18_baseline_cifar10.py)",
    )
    parser.add_argument("--batch", type=int, default=128, help="images a step (default: 128)")
    parser.add_argument("--size", type=parse_size, default=(32, 32), help="SIDE or HEIGHTxWIDTH (default: 32)")
    parser.add_argument("--iterations", type=int, default=1, help="steps of one arm before the next (default: 1)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each arm (default: 10)")
    parser.add_argument("--device", default="cpu", help="such as cpu or cuda (default: cpu)")
    parser.add_argument("--amp", action="store_true", help="mixed precision (needs a GPU)")
    parser.add_argument("--rivals", action="store_true", help="also ResizeMix, GuidedMixup and others")
    parser.add_argument("--mixing-only", action="store_true", help="the data preprocessor alone, no forward pass")
    parser.add_argument("--threads", type=int, help="CPU threads (default: as torch chooses)")
    parser.add_argument("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    import mmengine
    import mmpretrain
    import torch

    from ..benchmarks import training
    from ..benchmarks.machine import describe_machine
    from ..engine.launch import errors_of_config
    from ..utils.files import check_output, write_json

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.out:
        check_output(options.out, *options.configs)
    rows = []
    names = ("batch", "size", "iterations", "rounds", "device", "amp", "rivals", "mixing_only")
    with errors_of_config():
        for config in options.configs:
            rows += training.benchmark_training(config, **{name: getattr(options, name) for name in names})
    if not torch.cuda.is_available() and options.device == "cpu":
        # The rows of the GPU benchmark, not measured.
        rows += training.benchmark_training(training.GPU_CONFIG, batch=256, size=224, device="cuda", amp=True)
    print(training.format_table(rows))
    if options.out:
        releases = dict(mmengine=mmengine.__version__, mmpretrain=mmpretrain.__version__)
        write_json(options.out, {"machine": {**describe_machine(), **releases}, "rows": rows})
