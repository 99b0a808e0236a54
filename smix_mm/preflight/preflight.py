"""Everything that a training's config can contradict itself in, checked without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Mapping

from .categories import check_categories
from .classes import check_classes
from .findings import Finding, contradiction
from .pixels import check_pixels
from .weights import check_weights


def preflight(cfg: Mapping[str, Any], resume: str | Path | None = None) -> list[Finding]:
    """Compare what a config says in several places, and with its data and weights.

    Compared are class names of all datasets, COCO files and metrics, their number with every head, data preprocessor,
    augmentation and metric; scale and order of the normalization; batch augmentations with the data
    preprocessor; the order of pipelines; what ``init_cfg`` would load; and what a resume would override. Nothing
    is trained, and no dataset is built.

    Args:
        cfg: config of a training, mmpretrain's or MMDetection's.
        resume: checkpoint to resume from.

    Returns:
        Findings in the order in which they were found; none where nothing contradicts.

    Raises:
        CheckpointError: ``resume`` cannot be read.
    """
    return [
        *_check_loops(cfg),
        *check_classes(cfg),
        *check_categories(cfg),
        *check_pixels(cfg),
        *check_weights(cfg, resume),
    ]


def _check_loops(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    for part in ("val", "test"):
        names = [f"{part}_dataloader", f"{part}_cfg", f"{part}_evaluator"]
        missing = [name for name in names if cfg.get(name) is None]
        if missing and len(missing) < len(names):
            there = [name for name in names if name not in missing]
            yield contradiction(
                missing[0], f"is missing beside {' and '.join(there)}", f"give all of {', '.join(names)}, or none"
            )
