"""Matching of detections with objects, by the rules of VOC and of COCO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from .detections import Detections

TRUE, FALSE, NOT_COUNTED = 1, 0, -1
VOC_IOU = np.array([0.5])
# To the last bit those of pycocotools, because an IoU may equal one.
COCO_IOUS = np.linspace(0.5, 0.95, 10)
COCO_MOST = 100


@dataclass(frozen=True)
class Matches:
    """Matched detections of one class, by decreasing score.

    Detections of equal score keep the order of the images, and within an image that of the detector.

    Attributes:
        image_of: (D,) int32, index of the image of each detection.
        outcomes: (D, T) int8: TRUE, FALSE or NOT_COUNTED at each of T IoU thresholds.
        objects: (N,) int32, number of objects of each image that are not difficult.
    """

    image_of: np.ndarray
    outcomes: np.ndarray
    objects: np.ndarray


def match_voc(detections: Detections) -> list[Matches]:
    """Match at IoU 0.5 as the VOC development kit does.

    A detection is assigned to the object with the highest IoU. If that is at least 0.5, the
    detection with the highest score is true and the object's other ones are false; if the object is
    difficult, they are not counted. Widths and heights are ``x2 - x1 + 1``. Computed in float32,
    as by MMDetection's ``eval_map(..., use_legacy_coordinate=True)``.

    Returns:
        An entry for each class.
    """
    outcomes = np.zeros((len(detections.scores), 1), np.int8)
    for found, there in _groups(detections):
        overlaps = voc_overlaps(detections.boxes[found], detections.true_boxes[there])
        nearest = overlaps.argmax(axis=1)
        reached = overlaps[np.arange(len(found)), nearest] >= VOC_IOU[0]
        difficult = detections.difficult[there][nearest]
        outcomes[found[reached & difficult]] = NOT_COUNTED
        counted = np.flatnonzero(reached & ~difficult)
        _, first = np.unique(nearest[counted], return_index=True)
        outcomes[found[counted[first]]] = TRUE
    return _by_class(detections, outcomes)


def match_coco(detections: Detections) -> list[Matches]:
    """Match at IoU 0.50, 0.55, ... 0.95 as pycocotools does.

    At most 100 detections per image and class are counted. By decreasing score, each is matched with
    the object of highest IoU among those not matched yet; widths and heights are ``x2 - x1``.
    Difficult objects are treated as crowds in COCO (as in MMDetection's ``CocoMetric``): a
    detection is matched with one only if no other object fits, its overlap is then the fraction of the
    *detection* that is covered, any number of detections may match one, and these are not counted.

    Returns:
        An entry for each class.
    """
    outcomes = np.zeros((len(detections.scores), len(COCO_IOUS)), np.int8)
    order, starts, _ = _sorted_groups(detections.labels, detections.image_of, -detections.scores)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    outcomes[order[rank >= COCO_MOST]] = NOT_COUNTED
    for found, there in _groups(detections):
        found = found[:COCO_MOST]
        difficult = detections.difficult[there]
        overlaps = coco_overlaps(detections.boxes[found], detections.true_boxes[there], difficult)
        outcomes[found] = _match_in_order(overlaps, difficult)
    return _by_class(detections, outcomes)


def voc_overlaps(boxes: np.ndarray, true_boxes: np.ndarray) -> np.ndarray:
    """IoU (D, G), float32, of boxes (D, 4) and (G, 4) whose corners are the outermost pixels inside them."""
    shared, area, true_area = _areas(boxes[:, None], true_boxes[None], np.float32(1))
    return shared / np.maximum(area + true_area - shared, np.float32(1e-6))


def coco_overlaps(boxes: np.ndarray, true_boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU (D, G), float64, of boxes (D, 4) and (G, 4); for a crowd the covered fraction of the detection."""
    first, second = boxes[:, None].astype(np.float64), true_boxes[None].astype(np.float64)
    shared, area, true_area = _areas(first, second, np.float64(0))
    whole = np.where(crowd, area, area + true_area - shared)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)


def _areas(first: np.ndarray, second: np.ndarray, end: np.floating) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The shared area of boxes and the area of each, where a side is ``x2 - x1 + end``."""
    size = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]) + end
    area, other = ((box[..., 2:] - box[..., :2] + end).prod(axis=-1) for box in (first, second))
    return np.maximum(size, end * 0).prod(axis=-1), area, other


def _match_in_order(overlaps: np.ndarray, difficult: np.ndarray) -> np.ndarray:
    """Outcomes (D, T) of the detections, rows of ``overlaps`` (D, G), whose last columns are the difficult objects."""
    outcomes = np.zeros((len(overlaps), len(COCO_IOUS)), np.int8)
    objects = int((~difficult).sum())
    matched = np.zeros((len(COCO_IOUS), objects), bool)
    every = np.arange(len(COCO_IOUS))
    for row in np.flatnonzero(overlaps.max(axis=1) >= COCO_IOUS[0]):
        reached = overlaps[row] >= COCO_IOUS[:, None]
        outcomes[row, reached[:, objects:].any(axis=1)] = NOT_COUNTED
        free = reached[:, :objects] & ~matched
        if free.any():
            # Of equal overlaps pycocotools chooses the last.
            nearest = objects - 1 - np.where(free, overlaps[row, :objects], -1)[:, ::-1].argmax(axis=1)
            fits = free[every, nearest]
            matched[every[fits], nearest[fits]] = True
            outcomes[row, fits] = TRUE
    return outcomes


def _sorted_groups(
    labels: np.ndarray, image_of: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order by class, image and ``last``; start of each group of class and image in that order; its key."""
    keys = labels.astype(np.int64) << 32 | image_of
    order = np.lexsort((last, keys))
    found, starts = np.unique(keys[order], return_index=True)
    return order, starts, found


def _groups(detections: Detections) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each class and image with both: indices of its detections, best first, and of its objects, difficult last."""
    found, starts, keys = _sorted_groups(detections.labels, detections.image_of, -detections.scores)
    there, true_starts, true_keys = _sorted_groups(
        detections.true_labels, detections.true_image_of, detections.difficult
    )
    _, groups, true_groups = np.intersect1d(keys, true_keys, return_indices=True)
    stops, true_stops = [*starts[1:], len(found)], [*true_starts[1:], len(there)]
    for group, other in zip(groups, true_groups):
        yield found[starts[group] : stops[group]], there[true_starts[other] : true_stops[other]]


def _by_class(detections: Detections, outcomes: np.ndarray) -> list[Matches]:
    matches = []
    for label in range(len(detections.classes)):
        mine = np.flatnonzero(detections.labels == label)
        mine = mine[np.argsort(-detections.scores[mine], kind="stable")]
        counted = (detections.true_labels == label) & ~detections.difficult
        objects = np.bincount(detections.true_image_of[counted], minlength=len(detections.images)).astype(np.int32)
        matches.append(Matches(detections.image_of[mine], outcomes[mine], objects))
    return matches
