"""The report of a study, from its result files alone: Markdown, JSON, CSV, figures and a web page."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Callable

from ...utils.errors import DataError
from ...utils.files import write_json, write_text
from ..run import SHEET
from ..statistics import EFFECT
from .comparison import compare
from .content import count_shown, report_text, summary_text, verdict
from .figures import draw_figures
from .page import format_page
from .results import Results, read_results

__all__ = ["report_study"]

IMAGE_SAMPLES = 1000


def report_study(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    samples: int = IMAGE_SAMPLES,
    log: Callable[[str], None] = lambda line: None,
) -> str:
    """Write the report of a study from its result files alone.

    Writes ``report.md``, ``report.json`` (all numbers), ``report.csv`` (one row a run),
    the figures ``arms.png``, ``differences.png``, ``classes.png`` and, if learning curves were
    saved, ``curves.png``, and ``report.html``, a self-contained page with all of it. Equal result files
    give equal bytes. Needs numpy, scipy and matplotlib, but no OpenMMLab package.

    Args:
        folder: of the study, with ``study.json``, ``result.json`` of each run and, for the interval
            over test images, ``detections.npz`` beside it.
        out: folder to write to. Defaults to ``folder``.
        samples: number of bootstrap samples of the test images. Default: 1000.
        log: called with each line of progress.

    Returns:
        a summary: the table of the arms, a sentence for each pair, and the names of the files.

    Raises:
        DataError: the folder contains no study, or no usable result of what it compares.
    """
    results = read_results(folder)
    if not any(run.kind in results.detectors for run in results.runs):
        raise DataError(
            "\n".join([f"{folder} contains no usable result of {', '.join(results.detectors)}", *results.problems])
        )
    comparison = compare(results, samples, log)
    target = Path(folder if out is None else out)
    drawn, problems = draw_figures(results, comparison, target)
    comparison = dataclasses.replace(comparison, problems=[*comparison.problems, *problems])
    sheet = Path(folder) / SHEET
    if sheet.is_file() and target.resolve() != Path(folder).resolve():
        shutil.copyfile(sheet, target / SHEET)
    text = report_text(results, comparison, drawn, SHEET if sheet.is_file() else None, samples)
    numbers = dict(
        name=results.name,
        metric=results.metric,
        unit="percent",
        image_samples=samples,
        arms=[dataclasses.asdict(arm) for arm in comparison.arms],
        pairs=[dict(dataclasses.asdict(pair), wanted=EFFECT, verdict=verdict(pair)) for pair in comparison.pairs],
        missing=results.missing,
        problems=[*results.problems, *comparison.problems],
    )
    write_text(target / "report.md", text + "\n")
    write_json(target / "report.json", numbers)
    write_text(target / "report.csv", _csv(results))
    write_text(target / "report.html", format_page(text, target))
    beside = ", ".join(["report.md", "report.json", "report.csv", *drawn])
    page = f"The page to open or to send is {target / 'report.html'} (beside it: {beside})."
    shown = f"A difference is shown in {count_shown(comparison)} of arms."
    return f"{summary_text(results, comparison)}\n\n{shown}\n{page}"


def _csv(results: Results) -> str:
    """One row a run, one column a metric, in the metrics' own units."""
    metrics = sorted({metric for run in results.runs for metric in run.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "detector", "pretraining_seed", "finetuning_seed", "backbone_hash", *metrics])
    for run in results.runs:
        named = [run.arm, run.kind, run.pretraining_seed, run.finetuning_seed, run.backbone_hash]
        writer.writerow([*named, *(run.metrics.get(metric) for metric in metrics)])
    return text.getvalue()
