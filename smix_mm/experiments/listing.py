"""The list of the paper's rows, as dicts and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from .paper import NONE
from .records import describe_cost, describe_result, read_results, read_step_times
from .rows import EXPERIMENTS

Row = dict[str, Any]

BATCH_256 = "--cfg-options train_dataloader.batch_size=256 auto_scale_lr.base_batch_size=256"
NOTE = (
    "GPU-hours are those of the training steps alone, estimated from the measured time of one.\n"
    "The CIFAR configs have batch 128, as the released command. For batch 256, as in the paper's text, add:\n"
    f"  {BATCH_256} --work-dir ANOTHER\n"
    "The short recipe for ImageNet is the config with -100e in its name."
)


def list_experiments(words: Sequence[str] = (), results: str | Path = "results", root: str | Path = ".") -> list[Row]:
    """List the rows of the paper's tables with their configs, commands, costs and results.

    Args:
        words: only rows that contain all of these, ignoring case. Defaults to none: all rows.
        results: folder of results, see :func:`.read_results`, with the records of ``make gpu`` in its ``gpu/``.
        root: the project's folder, which has ``configs/``.

    Returns:
        a dict for each row: ``table``, ``row``, ``config``, ``commands``, ``pretraining``, ``paper``,
        ``gpu_hours`` and ``ours``; ``commands`` is a list of strings, all others are strings.

    Raises:
        DataError: a file under ``results`` is invalid.
    """
    found, times = read_results(results, Path(root)), read_step_times(results)
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
        if row["pretraining"] and row["pretraining"] != row["config"]:
            lines.append(f"    after {row['pretraining']}")
        lines += [f"    $ {command}" for command in row["commands"]]
    return "\n".join([*lines, "", NOTE]).lstrip("\n")
