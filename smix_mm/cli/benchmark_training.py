"""Time training steps without mixing and with CutMix, SaliencyMix and OfficialSaliencyMix.

examples:
  python tools/benchmark_training.py --out training.json
  python tools/benchmark_training.py --batch 32 --rounds 20 --threads 1 --rivals
  python tools/benchmark_training.py configs/imagenet/resnet50_baseline_in1k.py --batch 256 --size 224 \\
      --device cuda --amp --iterations 20
"""

import argparse

from ..utils.command_line import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "configs",
        nargs="*",
        default=["configs/cifar10/resnet18_baseline_cifar10.py"],
        help="classification configs (default: configs/cifar10/resnet18_baseline_cifar10.py)",
    )
    add("--batch", type=int, default=128, help="images a step (default: 128)")
    add("--size", type=parse_size, default=(32, 32), help="SIDE or HEIGHTxWIDTH (default: 32)")
    add("--iterations", type=int, default=1, help="steps of one arm before the next (default: 1)")
    add("--rounds", type=int, default=10, help="turns of each arm (default: 10)")
    add("--device", default="cpu", help="such as cpu or cuda (default: cpu)")
    add("--amp", action="store_true", help="mixed precision (needs a GPU)")
    add("--rivals", action="store_true", help="also ResizeMix, GuidedMixup and others")
    add("--mixing-only", action="store_true", help="the data preprocessor alone, no forward pass")
    add("--threads", type=int, help="CPU threads (default: as torch chooses)")
    add("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    import mmengine
    import mmpretrain
    import torch

    from ..benchmarks import training
    from ..benchmarks.machine import describe_machine
    from ..engine.launch import errors_of_config
    from ..utils.files import check_output, write_json

    settings = vars(options)
    configs, out, threads = (settings.pop(name) for name in ("configs", "out", "threads"))
    if threads:
        torch.set_num_threads(threads)
    if out:
        check_output(out, *configs)
    rows = []
    with errors_of_config():
        for config in configs:
            rows += training.benchmark_training(config, **settings)
    if not torch.cuda.is_available() and options.device == "cpu":
        # The rows of the GPU benchmark, not measured.
        rows += training.benchmark_training(training.GPU_CONFIG, batch=256, size=224, device="cuda", amp=True)
    print(training.format_table(rows))
    if out:
        releases = dict(mmengine=mmengine.__version__, mmpretrain=mmpretrain.__version__)
        write_json(out, {"machine": {**describe_machine(), **releases}, "rows": rows})
