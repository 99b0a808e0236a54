"""Average precision of each class, of several detectors beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from ..utils.choices import check_option
from ..utils.text import markdown_table
from .average_precision import DEFINITIONS, recompute


def compare_classes(files: Mapping[str, str | Path], metric: str = "voc/mAP_11point") -> str:
    """A Markdown table with a row for each class and one for their mean.

    Args:
        files: ``detections.npz`` by name of the column.
        metric: ``'voc/mAP_11point'`` (default), ``'voc/mAP_area'`` or ``'coco/mAP'``.

    Raises:
        DataError: A file cannot be read, or has no objects.
        UsageError: The metric is none of these.
    """
    check_option("metric", metric, tuple(name for name, one in DEFINITIONS.items() if one.classwise))
    start = f"{DEFINITIONS[metric].classwise}/"
    figures = {name: recompute(file) for name, file in files.items()}
    classes = dict.fromkeys(key for one in figures.values() for key in one if key.startswith(start))
    rows = [[key.removeprefix(start), *(_percent(one.get(key)) for one in figures.values())] for key in classes]
    rows.append(["mean", *(_percent(one[metric]) for one in figures.values())])
    return markdown_table([f"{DEFINITIONS[metric].title}, %", *figures], rows, "lr")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
