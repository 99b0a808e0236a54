"""How many images a second training pipelines give on several cores, by wall-clock time."""

from __future__ import annotations

import os
import statistics
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Sequence

from ..utils.errors import UsageError
from ..utils.files import save_figure
from ..utils.text import markdown_table
from .data_pipeline import CONFIGS, Pipeline, open_pipelines, short_name
from .machine import in_turns

Row = dict[str, Any]


def benchmark_cores(
    configs: Sequence[str | Path] = CONFIGS,
    *,
    images: str | Path,
    cores: Sequence[int],
    seconds: float = 5.0,
    rounds: int = 5,
    **options: Any,
) -> list[Row]:
    """Measure whole data loaders: N cores for N worker processes and the process that receives their batches.

    Nothing else should run on the machine. The configs and the numbers of cores take turns.

    Arguments: see ``tools/benchmark_data_pipeline.py --help``; ``cores`` are at most those that this process may use
    (Linux only).

    Returns:
        For each config: ``config``, and ``by_cores``, for each number of cores the list of the rounds' images per
        second.

    Raises:
        UsageError: a number is too small, or there are not so many cores; there is no photograph.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    if not cores or min(cores) < 1 or max(cores) > available or seconds <= 0 or rounds < 1:
        raise UsageError(
            f"cores should be from 1 to {available}, seconds positive and rounds at least 1, "
            f"got {list(cores)}, {seconds} and {rounds}"
        )
    with open_pipelines(configs, images, **options) as arms:
        rows: list[Row] = [dict(config=arm.config, by_cores={number: [] for number in cores}) for arm in arms]
        for _, (arm, row) in in_turns(list(zip(arms, rows)), rounds):
            for number, speeds in row["by_cores"].items():
                speeds.append(_images_per_second(arm, number, seconds))
    return rows


def _images_per_second(arm: Pipeline, cores: int, seconds: float) -> float:
    """The speed of a loader, while this process and its workers may use the first ``cores`` of its cores only."""
    available = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(available)[:cores])
    try:
        # Far more passes than are read.
        batches = arm.read(10_000, num_workers=cores)
        for _ in islice(batches, cores):
            pass
        start = perf_counter()
        number, elapsed = 0, 1.0
        for batch in batches:
            number += len(batch["inputs"])
            if (elapsed := perf_counter() - start) >= seconds:
                break
        return number / elapsed
    finally:
        os.sched_setaffinity(0, available)


def format_cores(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table: median and range of images per second for each number of cores."""
    cells = []
    for row in rows:
        speeds = row["by_cores"].values()
        ranges = (f"{statistics.median(each):,.0f} ({min(each):,.0f}-{max(each):,.0f})" for each in speeds)
        cells.append([short_name(row["config"]), *ranges])
    header = (f"{number} core{'s' * (number > 1)}" for number in rows[0]["by_cores"])
    return markdown_table(["config", *header], cells, "lr")


def draw_cores(rows: Sequence[Row], path: str | Path) -> None:
    """Draw images per second against cores: measured points, and a dashed line in proportion to the last of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        medians = {number: statistics.median(each) for number, each in row["by_cores"].items()}
        # Smaller and smaller points, so that equal ones are all seen.
        size = max(10 - 2 * index, 3)
        (line,) = axes.plot(list(medians), list(medians.values()), "o-", markersize=size, label=row["config"])
        last = max(medians)
        axes.plot([last, 32], [medians[last], medians[last] * 32 / last], "--", color=line.get_color(), linewidth=1)
    axes.set(xscale="log", yscale="log", ylabel="images per second")
    axes.set_xlabel("cores (dashed: in proportion, not measured)")
    ticks = [1, 2, 4, 8, 16, 32]
    axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    axes.minorticks_off()
    rates = [200, 500, 1000, 2000, 5000, 10000]
    axes.set_yticks(rates, [f"{rate:,}" for rate in rates])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    save_figure(figure, path, dpi=150)
