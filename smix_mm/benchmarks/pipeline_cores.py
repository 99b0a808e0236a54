"""How many images a second training pipelines give on several cores, by wall-clock time."""

from __future__ import annotations

import os
import statistics
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Iterator, Mapping, Sequence

from ..utils.errors import UsageError
from ..utils.files import save_figure
from ..utils.text import markdown_table
from .data_pipeline import CONFIGS, Pipeline, open_pipelines

Row = dict[str, Any]


def benchmark_cores(
    configs: Sequence[str | Path] = CONFIGS,
    *,
    images: str | Path,
    cores: Sequence[int],
    seconds: float = 5.0,
    rounds: int = 5,
    cfg_options: Mapping[str, Any] | None = None,
    **packing: int,
) -> list[Row]:
    """Measure whole data loaders: N cores for N worker processes and the process that receives their batches.

    Nothing else should run on the machine. The configs and the numbers of cores take turns.

    Args:
        configs: classification configs, or data sets under ``configs/_base_/datasets``.
        images: folder of photographs, at any depth.
        cores: numbers of cores to measure, each at least 1 and at most those that this process may use (Linux only).
        seconds: time of a turn, after the first batch of each worker.
        rounds: turns of each config and number of cores.
        cfg_options: settings by dotted name that override each config's.
        packing: ``short_side`` and ``quality`` of packed images, see :func:`~smix_mm.datasets.prepare.pack_data`.

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
    with open_pipelines(configs, images, cfg_options=cfg_options, **packing) as arms:
        rows = [dict(config=arm.config, by_cores={number: [] for number in cores}) for arm in arms]
        for turn in range(rounds):
            # Every other round in reverse, so that no config always follows the same one.
            for arm, row in list(zip(arms, rows))[:: -1 if turn % 2 else 1]:
                for number, speeds in row["by_cores"].items():
                    speeds.append(_images_per_second(arm, number, seconds))
    return rows


def _images_per_second(arm: Pipeline, cores: int, seconds: float) -> float:
    with _limited_to(cores):
        # Far more passes than are read.
        batches = arm.read(10_000, num_workers=cores)
        for _ in islice(batches, cores):
            pass
        start = perf_counter()
        number = 0
        for batch in batches:
            number += len(batch["inputs"])
            if (elapsed := perf_counter() - start) >= seconds:
                return number / elapsed
    raise AssertionError("10,000 passes ended")


@contextmanager
def _limited_to(cores: int) -> Iterator[None]:
    """This process and those that it starts may use the first of its cores only."""
    available = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(available)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, available)


def format_cores(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table: median and range of images per second for each number of cores."""
    numbers = list(rows[0]["by_cores"])
    cells = [
        [_name(row), *(f"{statistics.median(each):,.0f} ({min(each):,.0f}-{max(each):,.0f})" for each in speeds(row))]
        for row in rows
    ]
    return markdown_table(["config", *(f"{number} core{'s' * (number > 1)}" for number in numbers)], cells, "lr")


def speeds(row: Row) -> list[list[float]]:
    """The rounds' images per second, for each number of cores."""
    return list(row["by_cores"].values())


def _name(row: Row) -> str:
    return row["config"].removeprefix("configs/").removesuffix(".py")


def draw_cores(rows: Sequence[Row], path: str | Path, needed: float | None = None) -> None:
    """Draw images per second against cores: measured points, and a dashed line in proportion to the last of them.

    Args:
        rows: of :func:`benchmark_cores`.
        path: image file to write.
        needed: images per second that a GPU trains on, drawn as a horizontal line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        numbers = list(row["by_cores"])
        medians = [statistics.median(each) for each in speeds(row)]
        (line,) = axes.plot(numbers, medians, "o-", label=_name(row))
        last = max(numbers)
        axes.plot([last, 32], [medians[-1], medians[-1] * 32 / last], "--", color=line.get_color(), linewidth=1)
    if needed:
        axes.axhline(needed, color="0.4", linewidth=1)
        axes.annotate(f"{needed:,.0f}: one GPU", (1, needed), va="bottom", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="cores (dashed: in proportion, not measured)", ylabel="images per second")
    ticks = [1, 2, 4, 8, 16, 32]
    axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    axes.minorticks_off()
    rates = [200, 500, 1000, 2000, 5000, 10000]
    axes.set_yticks(rates, [f"{rate:,}" for rate in rates])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    save_figure(figure, path, dpi=150)
