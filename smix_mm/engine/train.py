"""Training a classifier or a detector from a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..datasets.check.splits import type_name
from ..datasets.check.strict import make_strict
from ..preflight import CONTRADICTION, format_findings, preflight
from ..utils.errors import UsageError
from .hooks import MixingLabelsHook
from .launch import build_runner, errors_of_config, join_processes, load_config, on_main_process
from .nonfinite.hook import NonFiniteHook
from .resume.config import choose_checkpoint, resume_from, use_exact_parts


def train(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    resume: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    no_validate: bool = False,
    on_nonfinite: str | None = None,
    config_schedule: bool = False,
    check_config: bool = True,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> None:
    """Train a model so that the run can be killed at any time and resumed exactly.

    mmengine's checkpoint hook and train loops are replaced by this package's, see
    :mod:`smix_mm.engine.resume.loops` and :class:`~smix_mm.engine.ExactCheckpointHook`.

    Args:
        config: An mmengine config of mmpretrain or MMDetection.
        work_dir: Folder for logs and checkpoints. Defaults to the config's ``work_dir``, else to
            ``work_dirs/<name of the config>``.
        resume: ``'auto'`` for the newest complete checkpoint in ``work_dir``, if there is one, or a checkpoint's path.
            Processes that torchrun restarts after a failure resume automatically. Defaults to None.
        amp, auto_scale_lr, no_validate, on_nonfinite, config_schedule: As the options of ``tools/train.py``.
        check_config: Whether :func:`~smix_mm.preflight.preflight` is run before anything is built. Defaults to True.
        cfg_options: Settings that override the config's, by dotted name.
        launcher: How several processes were started. Defaults to ``'none'``, for one process.

    Raises:
        UsageError: An option does not fit the config or the machine, or the config contradicts itself.
        CheckpointError: The checkpoint to resume from cannot be read, or lacks something.
    """
    if work_dir is None and any(name.startswith("augment.") for name in cfg_options or {}):
        raise UsageError("options of the augmentation (augment.NAME) need a --work-dir, which no other run has")
    cfg = load_config(config, work_dir, cfg_options, launcher)
    resume = apply_options(cfg, resume, no_validate, config_schedule)
    if amp:
        if not torch.cuda.is_available():
            raise UsageError("--amp needs a GPU; omit it to train in full precision")
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
    if auto_scale_lr:
        if not (cfg.get("auto_scale_lr") or {}).get("base_batch_size"):
            raise UsageError(
                f"--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in {config}, the batch size for its "
                "learning rate"
            )
        cfg.auto_scale_lr.enable = True
    join_processes(cfg)
    choice = choose_checkpoint(cfg, resume)
    notes = _preflight(cfg, choice.checkpoint, config_schedule) if check_config else []
    with errors_of_config():
        notes += make_strict(cfg) + use_exact_parts(cfg)
        _add_nonfinite_hook(cfg, on_nonfinite)
        notes += resume_from(cfg, choice)
        runner = build_runner(cfg)
    labels = MixingLabelsHook()
    runner.register_hook(labels)
    for note in notes:
        runner.logger.warning(note)
    with errors_of_config(started=lambda: labels.checked):
        runner.train()


def apply_options(cfg: Config, resume: str | None, no_validate: bool, config_schedule: bool) -> str | None:
    """Apply the options of a training that its preflight depends on, and return what to resume from.

    Raises:
        UsageError: The checkpoint does not exist, or ``config_schedule`` is given without a resume.
    """
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if resume is None and cfg.get("resume"):
        resume = cfg.get("load_from") or "auto"
    if resume not in (None, "auto") and not Path(resume).is_file():
        raise UsageError(f"checkpoint {resume} does not exist; use --resume without a path for the newest one")
    if config_schedule:
        if resume is None:
            raise UsageError("--config-schedule changes how a run is resumed; give --resume too")
        cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), dict(type="ConfigScheduleHook")]
    return resume


def _preflight(cfg: Config, checkpoint: str | None, config_schedule: bool) -> list[str]:
    """Refuse a config that contradicts itself, on all processes alike; returns the doubts as lines for the log."""
    findings = on_main_process(lambda: preflight(cfg, checkpoint, config_schedule))
    wrong = [finding for finding in findings if finding.level == CONTRADICTION]
    if wrong:
        raise UsageError(
            f"nothing was started, because settings contradict each other, the data or the weights "
            f"(--no-preflight starts it anyway):\n{format_findings(wrong)}"
        )
    return [f"Preflight: {finding.setting}: {finding.problem}; {finding.fix}." for finding in findings]


def _add_nonfinite_hook(cfg: Config, action: str | None) -> None:
    """Add a NonFiniteHook to the config, or set the action of its own one."""
    hooks = list(cfg.get("custom_hooks") or [])
    own = [hook for hook in hooks if isinstance(hook, dict) and type_name(hook) == NonFiniteHook.__name__]
    for hook in own:
        hook["action"] = action or hook.get("action", "stop")
    # Unless it is requested, not for a config with several optimizers, which the hook does not support.
    if not own and (action is not None or "optimizer" in (cfg.get("optim_wrapper") or {})):
        cfg.custom_hooks = [*hooks, dict(type=NonFiniteHook.__name__, action=action or "stop")]
