"""Measure what share of its training images each arm of a study replaces.

examples:
  python tools/measure_area.py configs/studies/does_saliency_matter/cifar10.py
  python tools/measure_area.py STUDY --batches 10000 --out areas.json
"""

import argparse

ERRORS = {ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("study", help="config of the study")
    add("--batches", type=int, default=1000, help="number of batches for each arm (default: 1000)")
    add("--seed", type=int, default=0, help="of the batches and of the mixing (default: 0)")
    add("--out", help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    from ..analysis.replaced_area import format_areas, measure_area
    from ..utils.files import write_json

    areas = measure_area(options.study, batches=options.batches, seed=options.seed)
    print(format_areas(areas))
    if options.out:
        write_json(options.out, areas)
