"""The list of the paper's rows as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from .records import describe_cost, describe_result, read_results, read_step_times
from .rows import EXPERIMENTS, NONE

Row = dict[str, Any]

NOTE = (
    "GPU-hours are those of the training steps alone, estimated from the measured time of one. For the batch of the\n"
    "paper's text, 256, the CIFAR configs have a sibling with _b256 in its name; ImageNet's short recipe is -100e."
)


def list_experiments(words: Sequence[str] = (), results: str | Path = "results", root: str | Path = ".") -> list[Row]:
    """Every row of the paper's tables with what belongs to it.

    Args:
        words: only rows that have all of these somewhere, in any case.
        results: folder with results of runs and with ``gpu/``, what ``make gpu`` measured; neither need
            exist. See :mod:`smix_mm.experiments.records`.
        root: the project's folder, which the configs lie in.

    Returns:
        a dict for each: ``table``, ``row``, ``config``, ``commands``, ``pretraining``, ``paper``,
        ``gpu_hours`` and ``ours``, all text but ``commands``, a list.

    Raises:
        DataError: a file under ``results`` is not as wanted.
    """
    found, times = read_results(results), read_step_times(results)
    rows = []
    for experiment in EXPERIMENTS:
        row: Row = dict(
            table=experiment.table,
            row=experiment.row,
            config=experiment.config or "no config here",
            commands=list(experiment.commands),
            pretraining=experiment.pretraining or "",
            paper=experiment.paper,
            gpu_hours=describe_cost(experiment, times, Path(root)),
            ours=describe_result(experiment, found),
        )
        text = " ".join([*map(str, row.values())]).lower()
        if all(word.lower() in text for word in words):
            rows.append(row)
    return rows


def format_rows(rows: Sequence[Row]) -> str:
    """The rows as text: a line of figures, then what to type."""
    lines: list[str] = []
    table = None
    for row in rows:
        if row["table"] != table:
            table = row["table"]
            lines += ["", table]
        paper = row["paper"] if row["paper"] == NONE else f"paper {row['paper']}"
        lines.append(f"  {row['row']}: {paper} | ours {row['ours']} | GPU-hours {row['gpu_hours']}")
        lines.append(f"    {row['config']}")
        if row["pretraining"] and row["pretraining"] != row["config"]:
            lines.append(f"    after {row['pretraining']}")
        lines += [f"    $ {command}" for command in row["commands"]]
    return "\n".join([*lines, "", NOTE]).lstrip("\n")
