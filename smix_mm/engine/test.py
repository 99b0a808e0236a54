"""Testing a classifier or a detector from a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import DumpResults

from ..datasets.check.strict import make_strict
from ..preflight import CONTRADICTION
from ..preflight.classes import check_trained_classes
from ..transfer.checkpoint import read_checkpoint
from ..utils.errors import UsageError
from ..utils.files import write_json
from .launch import build_runner, errors_of_config, load_config


def test(
    config: str | Path,
    checkpoint: str | Path,
    *,
    work_dir: str | Path | None = None,
    out: str | Path | None = None,
    metrics: str | Path | None = None,
    show_dir: str | Path | None = None,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> dict[str, float]:
    """Evaluate a checkpoint on the config's test set.

    Args:
        config: An mmengine config of mmpretrain or MMDetection.
        checkpoint: The weights, of mmengine or of a ResNet classifier with torchvision's names; every parameter of the
            model should be in the file.
        work_dir: Folder for the log. Defaults as in :func:`~smix_mm.engine.train.train`.
        out, metrics, show_dir: File (.pkl) for the predictions, file (.json) for the metrics, and folder for images
            with predictions. Defaults to None: they are not written.
        cfg_options, launcher: As in :func:`~smix_mm.engine.train.train`.

    Returns:
        The metrics by name, such as ``accuracy/top1`` or ``voc/mAP_11point``.

    Raises:
        UsageError: The checkpoint does not exist, a file name has the wrong suffix, the config cannot be used, or its
            classes are in another order than in training.
        CheckpointError: The checkpoint does not fit the config's model.
    """
    if not Path(checkpoint).is_file():
        raise UsageError(f"checkpoint {checkpoint} does not exist; give one that training wrote")
    for name, path, suffix in (("out", out, ".pkl"), ("metrics", metrics, ".json")):
        if path is not None and Path(path).suffix != suffix:
            raise UsageError(f"{name} should end in {suffix}, got {path}")
    cfg = load_config(config, work_dir, cfg_options, launcher)
    if show_dir is not None:
        _show_predictions(cfg, str(show_dir))
    with errors_of_config():
        notes = prepare_test(cfg, checkpoint)
        runner = build_runner(cfg, tests=True)
        for note in notes:
            runner.logger.warning(note)
        if out is not None:
            runner.test_evaluator.metrics.append(DumpResults(out_file_path=str(out)))
        found = {name: float(value) for name, value in runner.test().items()}
    if metrics is not None and runner.rank == 0:
        write_json(metrics, found)
    return found


def prepare_test(cfg: Config, checkpoint: str | Path) -> list[str]:
    """Let a config test a checkpoint on unchecked data; returns warnings for the Runner's log.

    Raises:
        UsageError: The classes are in another order than in training.
        DataError: As by :func:`~smix_mm.datasets.check.strict.make_strict`.
    """
    cfg.load_from, cfg.resume = str(checkpoint), False
    notes = make_strict(cfg, parts=("test",))
    meta = read_checkpoint(checkpoint).get("meta") or {}
    for finding in check_trained_classes(cfg, meta, checkpoint, part="test"):
        if finding.level == CONTRADICTION:
            raise UsageError(f"{finding.setting} {finding.problem}; {finding.fix}")
        notes.append(f"{finding.setting} {finding.problem}.")
    return notes


def _show_predictions(cfg: Config, folder: str) -> None:
    hook = cfg.get("default_hooks", {}).get("visualization")
    if hook is None:
        raise UsageError("with --show-dir, the config should have default_hooks.visualization")
    if "Det" in hook["type"]:
        hook.update(draw=True, test_out_dir=folder)
    else:
        hook.update(enable=True, out_dir=folder)
