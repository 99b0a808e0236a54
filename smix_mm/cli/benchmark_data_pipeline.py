"""Measure how many images a second and core the training pipelines of configs give, and where the time goes.

examples:
  python tools/benchmark_data_pipeline.py --images data/imagenet/val/n01440764
  python tools/benchmark_data_pipeline.py configs/imagenet/fast/resnet50_baseline_in1k.py --images photographs \\
      --short-side 320 --quality 90 --out pipeline.json
  python tools/benchmark_data_pipeline.py --images photographs --cores 1 2 4 8 --figure cores.png
"""

import argparse

from ..utils.command_line import add_cfg_options
from ..utils.errors import UsageError
from .prepare_data import add_packing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("configs", nargs="*", help="classification configs (default: those of ImageNet, standard and fast)")
    add("--images", required=True, metavar="FOLDER", help="photographs, at any depth")
    add("--rounds", type=int, default=5, help="turns of each config (default: 5)")
    add("--passes", type=int, default=2, help="passes over the photographs in a turn (default: 2)")
    add_packing(parser)
    add("--cores", type=int, nargs="+", metavar="N", help="measure instead the wall-clock time of loaders on N cores")
    add("--seconds", type=float, default=5.0, help="time of a turn with --cores (default: 5)")
    add("--figure", help="image file to write, with --cores")
    add_cfg_options(parser, "settings that override each config's")
    add("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    from ..benchmarks import data_pipeline, pipeline_cores
    from ..benchmarks.machine import describe_machine
    from ..utils.files import write_json

    if options.figure and not options.cores:
        raise UsageError("--figure draws images per second against cores; give --cores too")
    given = {name: getattr(options, name) for name in ("images", "rounds", "short_side", "quality", "cfg_options")}
    configs = options.configs or data_pipeline.CONFIGS
    if options.cores:
        rows = pipeline_cores.benchmark_cores(configs, cores=options.cores, seconds=options.seconds, **given)
        print(pipeline_cores.format_cores(rows))
        if options.figure:
            pipeline_cores.draw_cores(rows, options.figure)
    else:
        rows = data_pipeline.benchmark_data_pipeline(configs, passes=options.passes, **given)
        print(data_pipeline.format_table(rows))
    if options.out:
        write_json(options.out, {"machine": describe_machine(), "rows": rows})
