"""Measure how many images a second and core the training pipelines of configs give, and where the time goes."""

from __future__ import annotations

import argparse

from ..utils.command_line import add_cfg_options

EXAMPLES = """examples:
  python tools/benchmark_data_pipeline.py --images data/imagenet/val/n01440764
  python tools/benchmark_data_pipeline.py configs/imagenet/fast/resnet50_cutmix_in1k.py --images photographs \\
      --short-side 320 --quality 90 --out pipeline.json
  python tools/benchmark_data_pipeline.py --images photographs --cores 1 2 4 8 --figure cores.png --needed 2450
"""
ERRORS = {ImportError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", nargs="*", help="classification configs (default: those of ImageNet, old and fast)")
    parser.add_argument("--images", required=True, metavar="FOLDER", help="photographs, at any depth")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each config (default: 5)")
    parser.add_argument("--passes", type=int, default=2, help="passes over the photographs in a turn (default: 2)")
    parser.add_argument("--short-side", type=int, help="of packed images, pixels (default: as prepare_data.py)")
    parser.add_argument("--quality", type=int, help="of packed JPEGs (default: as prepare_data.py)")
    parser.add_argument(
        "--cores", type=int, nargs="+", metavar="N", help="measure the wall-clock time of whole loaders on N cores instead"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="time of a turn with --cores (default: 5)")
    parser.add_argument("--figure", help="image file to write, with --cores")
    parser.add_argument("--needed", type=float, help="images per second that a GPU needs, a line in the figure")
    add_cfg_options(parser, "settings that override each config's")
    parser.add_argument("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    from ..benchmarks import data_pipeline, pipeline_cores
    from ..benchmarks.machine import describe_machine
    from ..utils.files import write_json

    given = {name: getattr(options, name) for name in ("short_side", "quality") if getattr(options, name) is not None}
    given |= dict(images=options.images, rounds=options.rounds, cfg_options=options.cfg_options)
    configs = options.configs or data_pipeline.CONFIGS
    if options.cores:
        rows = pipeline_cores.benchmark_cores(configs, cores=options.cores, seconds=options.seconds, **given)
        print(pipeline_cores.format_cores(rows))
        if options.figure:
            pipeline_cores.draw_cores(rows, options.figure, options.needed)
    else:
        rows = data_pipeline.benchmark_data_pipeline(configs, passes=options.passes, **given)
        print(data_pipeline.format_table(rows))
    if options.out:
        write_json(options.out, {"machine": describe_machine(), "rows": rows})
