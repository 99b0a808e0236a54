"""Everything that a training's config can contradict itself in, checked without training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping

from ..utils.errors import SmixError
from .classes import check_categories, check_classes
from .pixels import check_pipelines, check_pixels
from .settings import PARTS, Finding, contradiction, doubt
from .weights import check_resume, check_weights

Check = Callable[[Mapping[str, Any]], Iterable[Finding]]


def preflight(cfg: Mapping[str, Any], resume: str | Path | None = None, config_schedule: bool = False) -> list[Finding]:
    """Compare what a config states in several places, and with its data and weights.

    Compared are class names of all datasets, COCO files and metrics, their number with every head, data preprocessor,
    augmentation and metric; scale and order of the normalization; batch augmentations with the data
    preprocessor; the order of pipelines; the three settings of each loop; what ``init_cfg`` would load; and what a
    resume would override. Nothing is trained, and no dataset is built. Settings that only another project's classes
    have are not judged.

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
    return _run(cfg, [check_classes, check_categories, check_pixels, check_pipelines, check_loops, weights])


def preflight_data(cfg: Mapping[str, Any]) -> list[Finding]:
    """The part of :func:`preflight` about the data: classes, their number, metrics, pipelines and loops."""
    return _run(cfg, [check_classes, check_pipelines, check_loops])


def check_loops(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Check that a loop has all of its settings or none; mmengine checks it after the work dir was made."""
    loops = [(f"{part}_dataloader", f"{part}_cfg", f"{part}_evaluator") for part in PARTS[1:]]
    loops.insert(0, ("train_dataloader", "train_cfg", "optim_wrapper"))
    if "runner_type" in cfg or all(cfg.get(loop) is None for _, loop, _ in loops):
        return  # another Runner's settings, or a config that only describes data
    for names in loops:
        missing = [name for name in names if cfg.get(name) is None]
        if missing and len(missing) < len(names):
            given = " and ".join(name for name in names if name not in missing)
            problem = f"is None or missing, but the config has {given}"
            yield contradiction(missing[0], problem, f"give {', '.join(names)}, or none of them")


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
