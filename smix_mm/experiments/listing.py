"""The list of the paper's rows, as dicts and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from ..utils.config import read_config
from .cost import Machine, Measurements, describe_disk, describe_hours
from .paper import NONE
from .records import describe_cost, describe_result, read_results, read_step_times
from .rows import EXPERIMENTS, Experiment

Row = dict[str, Any]
NONE_HERE = "-"

BATCH_256 = "--cfg-options train_dataloader.batch_size=256 auto_scale_lr.base_batch_size=256"
NOTE = (
    "GPU-hours are those of the training steps alone, estimated from the measured time of one.\n"
    "The CIFAR configs have batch 128, as the released command. For batch 256, as in the paper's text, add:\n"
    f"  {BATCH_256} --work-dir ANOTHER\n"
    "The short recipe for ImageNet is the config with -100e in its name."
)


def list_experiments(
    words: Sequence[str] = (),
    results: str | Path = "results",
    root: str | Path = ".",
    machine: Machine | None = None,
) -> list[Row]:
    """List the rows of the paper's tables with their configs, commands, costs and results.

    Args:
        words: only rows that contain all of these, ignoring case. Defaults to none: all rows.
        results: folder of results, see :func:`.read_results`, with the records of ``make gpu`` in its ``gpu/``.
        root: the project's folder, which has ``configs/``.
        machine: GPUs and cores for which hours are estimated. Defaults to none.

    Returns:
        a dict for each row: ``table``, ``row``, ``config``, ``options``, ``commands``, ``pretraining``, ``paper``,
        ``gpu_hours`` and ``ours``; with a machine also ``hours``, the least on it with the limit, and ``disk``,
        the size of the work dir. ``commands`` is a list of strings, all others are strings.

    Raises:
        DataError: a file under ``results`` is invalid.
    """
    found, times = read_results(results, Path(root)), read_step_times(results)
    measured = None if machine is None else Measurements(results, root, machine.card)
    rows = []
    for experiment in EXPERIMENTS:
        row: Row = dict(
            table=experiment.table,
            row=experiment.row,
            config=experiment.config or "no config here",
            options=" ".join(experiment.options),
            commands=list(experiment.commands),
            pretraining=experiment.pretraining or "",
            paper=experiment.paper,
            gpu_hours=describe_cost(experiment, times, Path(root)),
            ours=describe_result(experiment, found),
        )
        text = " ".join([*map(str, row.values())]).lower()
        if all(word.lower() in text for word in words):
            if measured is not None and machine is not None:
                row |= _on_machine(experiment, measured, machine, Path(root))
            rows.append(row)
    return rows


def _on_machine(experiment: Experiment, measured: Measurements, machine: Machine, root: Path) -> Row:
    """``hours`` and ``disk`` of a row; those of one whose commands only test are another row's."""
    config, trained = experiment.config, str(experiment.trained)
    if config is None or config == experiment.pretraining:
        return dict(hours=NONE_HERE, disk=NONE_HERE)
    cost = measured.cost(trained, read_config(root / config))
    named = experiment.commands[-1].partition("--work-dir ")[2]
    disk = describe_disk(root / (named or f"work_dirs/{Path(trained).stem}"))
    return dict(hours=describe_hours(cost, machine), disk=disk)


def format_rows(rows: Sequence[Row]) -> str:
    """Format rows of :func:`list_experiments` as text: for each a line of figures, its config and its commands."""
    lines: list[str] = []
    table = None
    for row in rows:
        if row["table"] != table:
            table = row["table"]
            lines += ["", table]
        paper = row["paper"] if row["paper"] == NONE else f"paper {row['paper']}"
        lines.append(f"  {row['row']}: {paper} | ours {row['ours']} | GPU-hours {row['gpu_hours']}")
        lines.append(f"    {row['config']}")
        if "hours" in row:
            lines.append(f"    hours at least {row['hours']} | disk {row['disk']}")
        if row["pretraining"] and row["pretraining"] != row["config"]:
            lines.append(f"    after {row['pretraining']}")
        lines += [f"    $ {command}" for command in row["commands"]]
    return "\n".join([*lines, "", NOTE]).lstrip("\n")
