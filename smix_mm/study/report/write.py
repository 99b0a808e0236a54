"""Reading results, comparing them and writing the report."""

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
from pathlib import Path
from typing import Callable

from ...utils.errors import DataError
from ...utils.files import write_json, write_text
from .comparison import Comparison, compare
from .content import conclusion, report_blocks, summary_blocks
from .figures import draw_figures
from .markdown import format_markdown
from .page import format_page
from .results import Results, read_results
from .wording import verdict

IMAGE_SAMPLES = 1000
PAGE = "report.html"
SHEET = "mixed.png"


def report_study(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    wanted: float = 0.5,
    samples: int = IMAGE_SAMPLES,
    say: Callable[[str], None] = lambda line: None,
) -> str:
    """Write the report of a study from its result files alone.

    Writes ``report.md``, ``report.json`` (every number of it), ``report.csv`` (a line a run),
    figures: ``arms.png``, ``differences.png``, ``classes.png``, and ``curves.png`` where curves were
    kept, and ``report.html``, a page that holds all of it and needs no network. Equal result files
    give equal bytes. Needs numpy, scipy and matplotlib, no OpenMMLab.

    Args:
        folder: of the study, with ``study.json``, ``result.json`` of each run and, for the interval
            over test images, ``detections.npz`` beside it.
        out: where to write. Defaults to ``folder``.
        wanted: points of difference whose number of seeds is worked out.
        samples: bootstrap samples of the test images.
        say: is told how far it is.

    Returns:
        what the study shows: the table of the arms, a sentence a pair, and what was written.

    Raises:
        DataError: there is no study, or no usable result of what it compares.
    """
    results = read_results(folder)
    if not any(run.detector in results.detectors for run in results.runs):
        raise DataError(
            "\n".join([f"{folder} holds no usable result of {', '.join(results.detectors)}", *results.problems])
        )
    comparison = compare(results, wanted, samples, say)
    target = Path(folder if out is None else out)
    drawn, problems = draw_figures(results, comparison, target)
    comparison = dataclasses.replace(comparison, problems=[*comparison.problems, *problems])
    sheet = _sheet(Path(folder), target)
    blocks = report_blocks(results, comparison, drawn, sheet, samples)
    write_text(target / "report.md", format_markdown(blocks) + "\n")
    write_json(target / "report.json", _content(results, comparison, samples))
    write_text(target / "report.csv", _lines(results))
    # Last, because it is the one to look at.
    write_text(target / PAGE, format_page(blocks, target))
    summary = format_markdown(summary_blocks(results, comparison))
    beside = ", ".join(["report.md", "report.json", "report.csv", *drawn])
    return (
        f"{summary}\n\n{conclusion(comparison)}\nThe page to open or to send is {target / PAGE} (beside it: {beside})."
    )


def _sheet(folder: Path, target: Path) -> str | None:
    """The name of the study's sheet of mixed images, brought beside the report; None where it has none."""
    sheet = folder / SHEET
    if not sheet.is_file():
        return None
    if target.resolve() != folder.resolve():
        shutil.copyfile(sheet, target / SHEET)
    return SHEET


def _content(results: Results, comparison: Comparison, samples: int) -> dict[str, object]:
    return dict(
        name=results.name,
        metric=results.metric,
        unit="percent",
        image_samples=samples,
        arms=[dataclasses.asdict(arm) for arm in comparison.arms],
        pairs=[dict(dataclasses.asdict(pair), verdict=verdict(pair)) for pair in comparison.pairs],
        missing=results.missing,
        problems=[*results.problems, *comparison.problems],
    )


def _lines(results: Results) -> str:
    """A line a run, a column a figure, in the metrics' own units."""
    metrics = sorted({metric for run in results.runs for metric in run.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "detector", "pretraining_seed", "finetuning_seed", "backbone_hash", *metrics])
    for run in results.runs:
        place = [run.arm, run.detector, run.pretraining_seed, run.finetuning_seed, run.backbone_hash]
        writer.writerow([*place, *(run.metrics.get(metric) for metric in metrics)])
    return text.getvalue()
