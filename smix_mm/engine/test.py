"""Testing a checkpoint by a config, classification and detection alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.evaluator import DumpResults

from ..datasets.check.strict import make_strict
from ..utils.errors import UsageError
from ..utils.files import write_json
from .launch import build_runner, load_config


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
        config: an mmengine config of mmpretrain or MMDetection.
        checkpoint: the weights.
        work_dir: where the log goes. Defaults as for training.
        out: file (.pkl) for the predictions.
        metrics: file (.json) for the figures.
        show_dir: folder for images with predictions drawn on them.
        cfg_options: settings by dotted name, laid over the config.
        launcher: how several processes were started; ``'none'`` for one.

    Returns:
        the figures by name, such as ``accuracy/top1`` or ``voc/mAP_11point``.

    Raises:
        UsageError: there is no such checkpoint, or a file name has the wrong ending.
    """
    if not Path(checkpoint).is_file():
        raise UsageError(f"checkpoint {checkpoint} is not there; wanted one that training wrote")
    for given, ending in ((out, ".pkl"), (metrics, ".json")):
        if given is not None and Path(given).suffix != ending:
            raise UsageError(f"{given} was given to write to; wanted a name that ends in {ending}")
    cfg = load_config(config, work_dir, cfg_options, launcher)
    cfg.load_from, cfg.resume = str(checkpoint), False
    if show_dir is not None:
        _show_predictions(cfg, str(show_dir))
    notes = make_strict(cfg, parts=("test",))
    runner = build_runner(cfg)
    for note in notes:
        runner.logger.warning(note)
    if out is not None:
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=str(out)))
    found = {name: float(value) for name, value in runner.test().items()}
    if metrics is not None and runner.rank == 0:
        write_json(metrics, found)
    return found


def _show_predictions(cfg: Any, folder: str) -> None:
    hook = cfg.get("default_hooks", {}).get("visualization")
    if hook is None:
        raise UsageError("--show-dir was given, but the config has no default_hooks.visualization")
    if "Det" in hook["type"]:
        hook.update(draw=True, test_out_dir=folder)
    else:
        hook.update(enable=True, out_dir=folder)
