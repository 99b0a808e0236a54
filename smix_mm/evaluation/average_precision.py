"""Three definitions of average precision (AP), from the same predictions.

A class without objects (difficult ones are not counted) has no AP, and the mean is over the other
classes, as in MMDetection and pycocotools; the VOC development kit does not define this case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Mapping, Sequence

import numpy as np

from ..utils.choices import check_option
from ..utils.errors import DataError
from ..utils.text import markdown_table
from .detections import Detections, read_detections
from .matching import COCO_IOUS, NOT_COUNTED, TRUE, Matches, match_coco, match_voc

# With the rounding of the original implementations, because a recall may equal one of these.
VOC_RECALLS = np.arange(0, 1 + 1e-3, 0.1)
COCO_RECALLS = np.linspace(0, 1, 101)
_CELLS_AT_ONCE = 1 << 23


def _at_recalls(recall: np.ndarray, precision: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Interpolated average precision: the mean over ``recalls`` of the highest precision at that or a higher recall.

    Args:
        recall, precision: (K, R), as returned by :func:`_curves`.
        recalls: VOC until 2009 (Everingham et al. 2010, section 4.2) has 11, COCO 101.

    Returns:
        (R,), in 0 to 1.
    """
    reached = np.concatenate([precision, np.zeros((1, precision.shape[1]))])
    columns = np.ascontiguousarray(recall.T)
    places = np.stack([np.searchsorted(column, recalls) for column in columns], axis=1)
    return np.take_along_axis(reached, places, axis=0).mean(axis=0)


def _area(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Area under the interpolated precision-recall curve, of VOC from 2010 on.

    The curve is a step function, integrated exactly over the recalls at which a detection is true. Arguments and
    result as in :func:`_at_recalls`.
    """
    return (np.diff(recall, axis=0, prepend=0) * precision).sum(axis=0)


@dataclass(frozen=True)
class Definition:
    """A definition of average precision.

    Attributes:
        match: Decides which detections are true.
        curve: From recall and precision (K, R), as returned by :func:`_curves`, to AP (R,).
        overlaps: Indices of the IoU thresholds of ``match`` that the mean is over.
        classwise: Prefix of the metrics of single classes; None if they are not returned.
        title: Name of the metric in tables.
    """

    match: Callable[[Detections], list[Matches]]
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray]
    overlaps: Sequence[int]
    classwise: str | None
    title: str


_ALL = range(len(COCO_IOUS))
_11_POINTS, _101_POINTS = (partial(_at_recalls, recalls=recalls) for recalls in (VOC_RECALLS, COCO_RECALLS))
DEFINITIONS: Mapping[str, Definition] = {
    "voc/mAP_11point": Definition(match_voc, _11_POINTS, (0,), "voc/AP_11point", "AP50, VOC 11-point"),
    "voc/mAP_area": Definition(match_voc, _area, (0,), "voc/AP_area", "AP50, VOC area"),
    "coco/mAP": Definition(match_coco, _101_POINTS, _ALL, "coco/AP", "AP, COCO-style"),
    "coco/AP50": Definition(match_coco, _101_POINTS, (0,), None, "AP50, COCO-style"),
    "coco/AP75": Definition(match_coco, _101_POINTS, (5,), None, "AP75, COCO-style"),
}
CLASSWISE = tuple(name for name, one in DEFINITIONS.items() if one.classwise)


def evaluate(detections: Detections) -> dict[str, float]:
    """Compute all metrics of a test set, with the matches of :mod:`smix_mm.evaluation.matching`.

    Returns:
        By name, in 0 to 1:

        - ``voc/mAP_11point`` and ``voc/mAP_area``: VOC's two definitions, at IoU 0.5, equal to those of MMDetection's
          ``VOCMetric``.
        - ``coco/mAP`` (mean over IoU 0.50, 0.55, ... 0.95), ``coco/AP50`` and ``coco/AP75``: 101 recalls, equal to
          those of pycocotools.
        - ``voc/AP_11point/CLASS``, ``voc/AP_area/CLASS`` and ``coco/AP/CLASS`` for each class with objects.

    Raises:
        DataError: There are no objects, or all are difficult.
    """
    if not (~detections.difficult).any():
        raise DataError("the test set should have objects that are not difficult, got none")
    matched = {match: match(detections) for match in {entry.match for entry in DEFINITIONS.values()}}
    once = np.ones((len(detections.images), 1), np.int32)
    figures: dict[str, float] = {}
    for name, definition in DEFINITIONS.items():
        classwise = class_precisions(matched[definition.match], definition, once)[0]
        present = ~np.isnan(classwise)
        figures[name] = float(classwise[present].mean())
        for label in np.flatnonzero(present) if definition.classwise is not None else ():
            figures[f"{definition.classwise}/{detections.classes[label]}"] = float(classwise[label])
    return figures


def recompute(path: str | Path) -> dict[str, float]:
    """Compute the metrics of :func:`evaluate` from a file ``detections.npz``.

    Raises:
        DataError: The file cannot be read, or has no objects.
    """
    return evaluate(read_detections(path))


def compare_classes(files: Mapping[str, str | Path], metric: str = "voc/mAP_11point") -> str:
    """A Markdown table of average precisions, with a row for each class and one for their mean.

    Args:
        files: ``detections.npz`` by name of the column.
        metric: ``'voc/mAP_11point'`` (default), ``'voc/mAP_area'`` or ``'coco/mAP'``.

    Raises:
        DataError: A file cannot be read, or has no objects.
        UsageError: The metric is none of these.
    """
    check_option("metric", metric, CLASSWISE)
    start = f"{DEFINITIONS[metric].classwise}/"
    figures = {name: recompute(file) for name, file in files.items()}
    classes = dict.fromkeys(key for one in figures.values() for key in one if key.startswith(start))
    rows = [[key.removeprefix(start), *(percent(one.get(key)) for one in figures.values())] for key in classes]
    rows.append(["mean", *(percent(one[metric]) for one in figures.values())])
    return markdown_table([f"{DEFINITIONS[metric].title}, %", *figures], rows, "lr")


def percent(value: float | None) -> str:
    """An average precision in percent; ``-`` for a class without objects."""
    return "-" if value is None else f"{100 * value:.2f}"


def resample(detections: Detections, metric: str, weights: np.ndarray) -> np.ndarray:
    """Compute a metric, one of :data:`DEFINITIONS`, on resamples of the images, as for a bootstrap.

    Equals :func:`evaluate` on a test set that contains image n ``weights[n, r]`` times, int32 (N, R) (only the
    order of equal scores may differ), but detections are matched only once.

    Returns:
        float64 (R,), each the mean over the classes with objects in the resample; NaN for a resample without objects.
    """
    definition = DEFINITIONS[metric]
    classwise = class_precisions(definition.match(detections), definition, weights)
    present = ~np.isnan(classwise)
    count = present.sum(axis=1)
    total = np.where(present, classwise, 0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def class_precisions(matches: Sequence[Matches], definition: Definition, weights: np.ndarray) -> np.ndarray:
    """Average precision (R, C) of each class on resamples with ``weights`` (N, R); NaN for a class without objects."""
    samples = weights.shape[1]
    found = np.full((samples, len(matches)), np.nan)
    for label, match in enumerate(matches):
        step = max(1, _CELLS_AT_ONCE // max(1, len(match.image_of)))
        for start in range(0, samples, step):
            part = weights[:, start : start + step]
            objects = match.objects @ part
            means = [definition.curve(*_curves(match, overlap, part, objects)) for overlap in definition.overlaps]
            found[start : start + step, label] = np.where(objects > 0, np.mean(means, axis=0), np.nan)
    return found


def _curves(match: Matches, overlap: int, weights: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall (K, R) after each of the K true detections, and the highest precision at this recall or a higher one.

    A false detection only lowers the precision at an unchanged recall, so the points after false detections do not
    change the interpolated precision.
    """
    outcomes = match.outcomes[:, overlap]
    last = np.flatnonzero(outcomes == TRUE).max(initial=-1)
    counted = np.flatnonzero(outcomes[: last + 1] != NOT_COUNTED)
    times = weights[match.image_of[counted]]
    true = outcomes[counted] == TRUE
    all_found = np.cumsum(times, axis=0, dtype=np.int32)[true]
    true_found = np.cumsum(times[true], axis=0, dtype=np.int32)
    recall = true_found / np.maximum(objects, 1)
    precision = true_found / np.maximum(all_found, 1)
    return recall, np.maximum.accumulate(precision[::-1], axis=0)[::-1]
