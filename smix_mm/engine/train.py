"""Training from a config, classification and detection alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..datasets.check.strict import make_strict
from ..utils.errors import UsageError
from .launch import build_runner, load_config
from .mixing_labels_hook import MixingLabelsHook
from .nonfinite.hook import NonFiniteHook
from .resume.runner import choose_checkpoint, go_on_from, use_exact_parts


def train(
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    resume: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    no_validate: bool = False,
    on_nonfinite: str | None = None,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> None:
    """Train what a config describes, so that the run can be killed at any time and resumed exactly.

    mmengine's stock checkpoint hook and train loops are replaced by this package's, see
    :mod:`smix_mm.engine.resume.loops` and :class:`~smix_mm.engine.ExactCheckpointHook`.

    Args:
        config: an mmengine config of mmpretrain or MMDetection.
        work_dir: where logs and checkpoints go. Defaults to the config's, else
            ``work_dirs/<name of the config>``.
        resume: ``'auto'`` for the newest whole checkpoint in ``work_dir`` (from the start where
            there is none), or a checkpoint's path. Processes that torchrun starts again after a
            failure resume by themselves.
        amp: mixed precision with dynamic loss scaling; needs a GPU.
        auto_scale_lr: scale the learning rate by actual to ``auto_scale_lr.base_batch_size``.
        no_validate: leave out the evaluation during training.
        on_nonfinite: what a loss that is not finite does: ``'stop'`` the run before it touches the
            weights, or ``'skip'`` the iteration, see :class:`~smix_mm.engine.NonFiniteHook`.
            Defaults to what the config's own hook says, else to ``'stop'``.
        cfg_options: settings by dotted name, laid over the config.
        launcher: how several processes were started; ``'none'`` for one.

    Raises:
        UsageError: an option does not fit the config or the machine.
        CheckpointError: the checkpoint to resume from cannot be read, or is none.
    """
    cfg = load_config(config, work_dir, cfg_options, launcher)
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if amp:
        if not torch.cuda.is_available():
            raise UsageError("--amp was given, but there is no GPU; leave it out to train in full precision")
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.setdefault("loss_scale", "dynamic")
    if auto_scale_lr:
        if not cfg.get("auto_scale_lr", {}).get("base_batch_size"):
            raise UsageError(
                f"--auto-scale-lr was given, but {config} does not say for which batch its learning rate is meant; "
                "wanted auto_scale_lr=dict(base_batch_size=...) in it"
            )
        cfg.auto_scale_lr.enable = True
    if resume is None and cfg.get("resume"):
        resume = cfg.get("load_from") or "auto"
    if resume not in (None, "auto") and not Path(resume).is_file():
        raise UsageError(f"checkpoint {resume} is not there; wanted one to resume from, or plain --resume")
    notes = make_strict(cfg) + use_exact_parts(cfg)
    _guard_losses(cfg, on_nonfinite)
    notes += go_on_from(cfg, choose_checkpoint(cfg, resume))
    runner = build_runner(cfg)
    runner.register_hook(MixingLabelsHook())
    for note in notes:
        runner.logger.warning(note)
    runner.train()


def _guard_losses(cfg: Config, action: str | None) -> None:
    """See to it that the config has a NonFiniteHook, with this action where one is given."""
    hooks = list(cfg.get("custom_hooks") or [])
    own = [hook for hook in hooks if isinstance(hook, dict) and hook.get("type") == NonFiniteHook.__name__]
    for hook in own:
        hook["action"] = action or hook.get("action", "stop")
    # Without being asked for, a config with several optimisers is left alone: the hook knows one.
    if not own and (action is not None or "optimizer" in (cfg.get("optim_wrapper") or {})):
        cfg.custom_hooks = [*hooks, dict(type=NonFiniteHook.__name__, action=action or "stop")]
