"""The metric for detectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS

from ..utils.errors import DataError
from ..utils.text import markdown_table
from .average_precision import DEFINITIONS, evaluate, percent
from .detections import Detections

_PROOF = "voc/mAP_area"


@METRICS.register_module()
class DetectionMetric(BaseMetric):
    """Average precision by both definitions of VOC and by COCO's.

    For any MMDetection dataset whose test pipeline loads annotations *after* ``Resize`` (boxes are
    compared in pixels of the original image) and packs ``img_id``. The metrics are those of
    :func:`~smix_mm.evaluation.average_precision.evaluate`; objects that the dataset marks as
    ignored are the difficult ones. In a distributed test the first process evaluates.

    Widths are VOC's ``x2 - x1 + 1`` for both VOC metrics and ``x2 - x1`` for ``coco/*``; for small objects, this can
    decide whether IoU 0.5 is reached.

    Args:
        out: File (.npz) for predictions and ground truth, from which
            :func:`~smix_mm.evaluation.average_precision.recompute` computes the same metrics. Defaults to None:
            nothing is written.
        collect_device: ``'cpu'`` or ``'gpu'``, over which distributed results are collected. Defaults to ``'cpu'``.
        collect_dir: Folder for collecting over ``'cpu'``. Defaults to None, for a temporary one.

    Raises:
        DataError: A sample lacks a field, a prediction is NaN or infinite, ``out`` does not end in ``.npz``, no image
            has an object that is not difficult, or the objects fit the predictions much better after undoing the
            samples' ``scale_factor``, as where annotations are loaded before ``Resize``.
    """

    def __init__(
        self, out: str | Path | None = None, collect_device: str = "cpu", collect_dir: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix="voc", collect_dir=collect_dir)
        # The names have two prefixes of their own; mmengine warns about a prefix of None in the constructor only.
        self.prefix = None
        if out is not None and Path(out).suffix != ".npz":
            raise DataError(f"out should end in .npz, got {str(out)!r}")
        self.out = out

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Store the boxes of MMDetection's samples, as dicts; ``data_batch`` is not used."""
        for sample in data_samples:
            for field, fix in (
                ("img_id", "add it to meta_keys of PackDetInputs in the test pipeline"),
                ("gt_instances", "put LoadAnnotations into the test pipeline"),
                ("pred_instances", "give the metric a detector's predictions"),
            ):
                if field not in sample:
                    raise DataError(f"a sample has no {field}; {fix}")
            found, there = sample["pred_instances"], sample["gt_instances"]
            ignored = sample.get("ignored_instances", {})
            sides = [there, ignored] if "bboxes" in ignored else [there]
            true_labels = [_array(side["labels"]) for side in sides]
            self.results.append(
                dict(
                    image=sample["img_id"],
                    boxes=_array(found["bboxes"]),
                    scores=_array(found["scores"]),
                    labels=_array(found["labels"]),
                    true_boxes=np.concatenate([_array(side["bboxes"]).reshape(-1, 4) for side in sides]),
                    true_labels=np.concatenate(true_labels),
                    difficult=np.repeat([False, True][: len(sides)], list(map(len, true_labels))),
                    scale=tuple(map(float, sample.get("scale_factor", (1, 1))))[:2],
                )
            )

    def compute_metrics(self, results: list[Mapping[str, Any]]) -> dict[str, float]:
        """Evaluate the predictions, and write them to ``out`` unless they are refused."""
        assert self.dataset_meta is not None
        detections = Detections.stack(self.dataset_meta["classes"], results)
        figures = evaluate(detections)
        _refuse_resized(detections, np.array([sample["scale"] for sample in results]), figures)
        if self.out is not None:
            detections.write(self.out)
        MMLogger.get_current_instance().info(f"\n{format_figures(detections, figures)}")
        return figures


def _refuse_resized(detections: Detections, scales: np.ndarray, figures: Mapping[str, float]) -> None:
    """Raise an error if the objects are in the resized images, which a sample does not tell."""
    if np.allclose(scales, 1):
        return
    original = detections.true_boxes / np.tile(scales[detections.true_image_of], 2)
    found, expected = figures[_PROOF], evaluate(replace(detections, true_boxes=original.astype(np.float32)))[_PROOF]
    if expected > max(2 * found, found + 0.2):
        raise DataError(
            f"the objects should be in pixels of the original images, got them in the resized ones ({_PROOF} is "
            f"{found:.3f} and {expected:.3f} after undoing the scale); put LoadAnnotations after Resize in the test "
            "pipeline"
        )


def format_figures(detections: Detections, figures: Mapping[str, float]) -> str:
    """A table with a row for each class and the mean: numbers of objects and detections, and AP in percent."""
    columns = {name: entry for name, entry in DEFINITIONS.items() if entry.classwise is not None}
    labels = (detections.true_labels[~detections.difficult], detections.labels)
    counts = np.array([np.bincount(one, minlength=len(detections.classes)) for one in labels]).T
    rows = [
        [name, *count, *(percent(figures.get(f"{entry.classwise}/{name}")) for entry in columns.values())]
        for name, count in zip(detections.classes, counts)
    ]
    rows.append(["mean", *counts.sum(0), *(percent(figures[name]) for name in columns)])
    return markdown_table(["class", "objects", "found", *(entry.title for entry in columns.values())], rows, "lr")


def _array(value: Any) -> np.ndarray:
    """An array from a tensor, or from boxes that contain one."""
    value = getattr(value, "tensor", value)
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
