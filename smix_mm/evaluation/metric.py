"""The metric that detectors are tested with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS

from ..utils.errors import DataError
from .average_precision import DEFINITIONS, evaluate
from .detections import Detections


@METRICS.register_module()
class DetectionMetric(BaseMetric):
    """Both VOC definitions of average precision and COCO's, from one evaluation.

    For any MMDetection dataset whose test pipeline loads annotations *after* ``Resize`` (they are
    compared in the original image's pixels) and packs ``img_id``. The figures and their names are
    those of :func:`~smix_mm.evaluation.average_precision.evaluate`; objects that the dataset marks
    as ignored are the difficult ones. In a distributed test the first process evaluates.

    Args:
        out: file (.npz) that keeps predictions and ground truth, from which ``recompute`` gives the
            same figures. Defaults to None, for none.
        collect_device: 'cpu' or 'gpu', over which distributed results are collected. Defaults to 'cpu'.
        collect_dir: folder for collecting over 'cpu'. Defaults to None, for a temporary one.

    Raises:
        DataError: a sample lacks what is wanted, a prediction is no number, ``out`` has
            another ending, or there is no object to find.
    """

    def __init__(
        self, out: str | Path | None = None, collect_device: str = "cpu", collect_dir: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix="voc", collect_dir=collect_dir)
        # There are two families of names, and an unset prefix is warned about at construction only.
        self.prefix = None
        if out is not None and Path(out).suffix != ".npz":
            raise DataError(f"out={str(out)!r} was given to write to; wanted a name that ends in .npz")
        self.out = out

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the boxes of a batch.

        Args:
            data_batch: not used.
            data_samples: MMDetection's samples as dicts, with ``pred_instances``.
        """
        for sample in data_samples:
            for wanted, fix in (
                ("img_id", "add it to meta_keys of PackDetInputs in the test pipeline"),
                ("gt_instances", "put LoadAnnotations into the test pipeline"),
                ("pred_instances", "give the metric a detector's predictions"),
            ):
                if wanted not in sample:
                    raise DataError(f"a sample has no {wanted}; {fix}")
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
                )
            )

    def compute_metrics(self, results: list[Mapping[str, Any]]) -> dict[str, float]:
        """Write the predictions if asked to, and evaluate them."""
        assert self.dataset_meta is not None
        detections = Detections.stack(self.dataset_meta["classes"], results)
        if self.out is not None:
            detections.write(self.out)
        figures = evaluate(detections)
        MMLogger.get_current_instance().info(f"\n{format_figures(detections, figures)}")
        return figures


def format_figures(detections: Detections, figures: Mapping[str, float]) -> str:
    """A line a class and one for the mean, in percent, with the numbers of objects and detections."""
    columns = {name: entry for name, entry in DEFINITIONS.items() if entry.classwise is not None}
    width = max(5, *map(len, detections.classes)) + 2
    heads = "".join(f"{entry.title:>20}" for entry in columns.values())
    lines = [f"{'class':<{width}}{'objects':>9}{'found':>9}{heads}"]
    counts = [
        np.bincount(labels, minlength=len(detections.classes))
        for labels in (detections.true_labels[~detections.difficult], detections.labels)
    ]
    for name, objects, found in zip(detections.classes, *counts):
        values = [figures.get(f"{entry.classwise}/{name}") for entry in columns.values()]
        cells = "".join(f"{'no object' if value is None else f'{100 * value:.1f}':>20}" for value in values)
        lines.append(f"{name:<{width}}{objects:>9}{found:>9}{cells}")
    means = "".join(f"{100 * figures[name]:>20.1f}" for name in columns)
    return "\n".join([*lines, f"{'mean':<{width}}{sum(counts[0]):>9}{sum(counts[1]):>9}{means}"])


def _array(value: Any) -> np.ndarray:
    """A tensor, or boxes that hold one, as an array."""
    value = getattr(value, "tensor", value)
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
