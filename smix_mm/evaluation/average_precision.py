"""Three definitions of average precision, from one set of predictions.

A class that has no object to find (difficult ones do not count) has no average precision, and the
mean is over the other classes. MMDetection and pycocotools do the same; the VOC development kit
divides by the number of objects and has no rule for zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Sequence

import numpy as np

from ..utils.errors import DataError
from .detections import Detections, read_detections
from .matching import COCO_IOUS, NOT_COUNTED, TRUE, Matches, match_coco, match_voc

# In both cases the rounding of the original is kept: a recall may equal one of these.
VOC_RECALLS = np.arange(0, 1 + 1e-3, 0.1)
COCO_RECALLS = np.linspace(0, 1, 101)
_CELLS_AT_ONCE = 1 << 23


def eleven_points(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Mean of the precisions at recalls 0, 0.1, ... 1 (VOC 2007)."""
    return _at_recalls(recall, precision, VOC_RECALLS)


def hundred_and_one_points(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Mean of the precisions at recalls 0, 0.01, ... 1 (COCO)."""
    return _at_recalls(recall, precision, COCO_RECALLS)


def area(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Area under the curve (VOC 2010 to 2012)."""
    return (np.diff(recall, axis=0, prepend=0) * precision).sum(axis=0)


@dataclass(frozen=True)
class Definition:
    """One way to put a figure to a detector.

    Attributes:
        match: which detections are true.
        curve: recalls and precisions (K, R), both as of :func:`_curves`, to R figures.
        overlaps: which of the overlaps of ``match`` the mean is over.
        classwise: how the figure of one class is called; None where it is not kept.
        title: what a reader calls it.
    """

    match: Callable[[Detections], list[Matches]]
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray]
    overlaps: Sequence[int]
    classwise: str | None
    title: str


_ALL = range(len(COCO_IOUS))
DEFINITIONS: Mapping[str, Definition] = {
    "voc/mAP_11point": Definition(match_voc, eleven_points, (0,), "voc/AP_11point", "AP50, VOC 11-point"),
    "voc/mAP_area": Definition(match_voc, area, (0,), "voc/AP_area", "AP50, VOC area"),
    "coco/mAP": Definition(match_coco, hundred_and_one_points, _ALL, "coco/AP", "AP, COCO-style"),
    "coco/AP50": Definition(match_coco, hundred_and_one_points, (0,), None, "AP50, COCO-style"),
    "coco/AP75": Definition(match_coco, hundred_and_one_points, (5,), None, "AP75, COCO-style"),
}


def evaluate(detections: Detections) -> dict[str, float]:
    """All figures of a test, in 0 to 1.

    Returns:
        ``voc/mAP_11point`` and ``voc/mAP_area``: IoU 0.5, VOC's two definitions, as MMDetection's
        ``VOCMetric`` has them; ``coco/mAP`` (mean over IoU 0.50, 0.55, ... 0.95), ``coco/AP50`` and
        ``coco/AP75``: 101 recalls, as pycocotools has them; and for each class with objects
        ``voc/AP_11point/CLASS``, ``voc/AP_area/CLASS`` and ``coco/AP/CLASS``. What counts as found
        is said at :func:`~smix_mm.evaluation.matching.match_voc` and ``match_coco``.

    Raises:
        DataError: there is no object to find.
    """
    if not (~detections.difficult).any():
        raise DataError("the test set has no object to find; wanted annotations that are not all difficult")
    matched = {match: match(detections) for match in {entry.match for entry in DEFINITIONS.values()}}
    once = np.ones((len(detections.images), 1), np.int32)
    figures: dict[str, float] = {}
    for name, definition in DEFINITIONS.items():
        classwise = class_precisions(matched[definition.match], definition, once)[0]
        present = ~np.isnan(classwise)
        figures[name] = float(classwise[present].mean())
        if definition.classwise is not None:
            figures.update(
                {
                    f"{definition.classwise}/{detections.classes[label]}": float(classwise[label])
                    for label in np.flatnonzero(present)
                }
            )
    return figures


def recompute(path: str | Path) -> dict[str, float]:
    """The figures of :func:`evaluate` from a ``detections.npz``.

    Raises:
        DataError: the file cannot be used.
    """
    return evaluate(read_detections(path))


def resample(detections: Detections, metric: str, weights: np.ndarray) -> np.ndarray:
    """A mean figure of :func:`evaluate` as it would be on other samples of the images.

    Equals :func:`evaluate` on a test set in which image n stands ``weights[n, r]`` times (only the
    order of equal scores may differ), but detections are matched once for all samples.

    Args:
        detections: of the whole test set.
        metric: one of :data:`DEFINITIONS`.
        weights: int32 (N, R), how often each image is in each of R samples.

    Returns:
        float64 (R,); the mean is over the classes that a sample has objects of, and NaN for a
        sample that has none.
    """
    definition = DEFINITIONS[metric]
    classwise = class_precisions(definition.match(detections), definition, weights)
    present = ~np.isnan(classwise)
    count = present.sum(axis=1)
    total = np.where(present, classwise, 0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def class_precisions(matches: Sequence[Matches], definition: Definition, weights: np.ndarray) -> np.ndarray:
    """Average precision (R, C) of each class under ``weights`` (N, R), NaN where it has no object."""
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
    """Recall (K, R) after each of the K true detections, and the best precision at this recall or a higher one.

    A false detection only lowers the precision at an unchanged recall, so the points in between
    never matter.
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


def _at_recalls(recall: np.ndarray, precision: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mean over ``wanted`` of the precision at the first recall that reaches it, 0 where none does."""
    reached = np.concatenate([precision, np.zeros((1, precision.shape[1]))])
    columns = np.ascontiguousarray(recall.T)
    places = np.stack([np.searchsorted(column, wanted) for column in columns], axis=1)
    return np.take_along_axis(reached, places, axis=0).mean(axis=0)
