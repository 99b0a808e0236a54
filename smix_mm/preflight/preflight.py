"""Everything that a training's config can contradict itself in, checked without training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

from ..utils.errors import SmixError
from .classes import check_categories, check_classes
from .pixels import check_pipelines, check_pixels
from .settings import Finding, doubt
from .weights import check_resume, check_weights

Check = Callable[[Mapping[str, Any]], Iterable[Finding]]


def preflight(cfg: Mapping[str, Any], resume: str | Path | None = None, config_schedule: bool = False) -> list[Finding]:
    """Compare what a config states in several places, and with its data and weights.

    Compared are class names of all datasets, COCO files and metrics, their number with every head, data preprocessor,
    augmentation and metric; scale and order of the normalization; batch augmentations with the data
    preprocessor; the order of pipelines; what ``init_cfg`` would load; and what a resume would override. Nothing
    is trained, and no dataset is built. Settings that only another project's classes have are not judged.

    Args:
        cfg: Config of a training, mmpretrain's or MMDetection's.
        resume: Checkpoint to resume from. Defaults to None: the weights that the config names are checked.
        config_schedule: Whether a resume takes optimizer settings and schedules from the config. Defaults to False.

    Returns:
        Findings in the order in which they were found; none where nothing contradicts.

    Raises:
        CheckpointError: ``resume`` cannot be read.
    """
    weights = partial(check_resume, path=resume, config_schedule=config_schedule) if resume else check_weights
    return _run(cfg, [check_classes, check_categories, check_pixels, check_pipelines, weights])


def preflight_data(cfg: Mapping[str, Any]) -> list[Finding]:
    """The part of :func:`preflight` about the data: classes, their number, metrics and pipelines."""
    return _run(cfg, [check_classes, check_pipelines])


def _run(cfg: Mapping[str, Any], checks: list[Check]) -> list[Finding]:
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check(cfg)
        except SmixError:
            raise
        except Exception as error:  # a config of a form that is not known should not be refused for that
            name = getattr(check, "func", check).__name__
            findings.append(doubt(name, f"failed ({type(error).__name__}: {error})", "check these settings yourself"))
    return findings
