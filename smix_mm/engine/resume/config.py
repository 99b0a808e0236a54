"""Changes to a config for an exact resume: the hook, the loop, and the checkpoint to resume from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from ...transfer.checkpoint import TORCH_NEEDED, read_checkpoint, reads_training_checkpoints
from ...utils.errors import CheckpointError
from ...utils.files import newest_first, write_text
from ...utils.text import first_few
from ..launch import join_processes, on_main_process

STARTED = ".started"

_EXACT = {
    CheckpointHook: "ExactCheckpointHook",
    EpochBasedTrainLoop: "ExactEpochBasedTrainLoop",
    IterBasedTrainLoop: "ExactIterBasedTrainLoop",
}
_NEEDED = ("meta", "state_dict", "message_hub")


class Choice(NamedTuple):
    """File to resume from (None to start as configured), seed of the run that wrote it, and lines for the log."""

    checkpoint: str | None
    seed: int | None
    notes: list[str]


def use_exact_parts(cfg: Config) -> list[str]:
    """Replace mmengine's own checkpoint hook and train loop in ``cfg`` by the exact ones.

    Returns:
        Lines for the log about parts that are not mmengine's own, and are therefore not replaced.
    """
    if cfg.get("runner_type", "Runner") != "Runner":
        return [f"The config has its own Runner, {cfg.runner_type}: a resume of this run is not exact."]
    # Without a setting, mmengine adds its hook; with None, it adds none.
    cfg.default_hooks = dict(checkpoint=dict(type="CheckpointHook")) | dict(cfg.get("default_hooks") or {})
    for part in (cfg.default_hooks.checkpoint, *(cfg.get("custom_hooks") or ())):
        _replace(part)
    loop = cfg.get("train_cfg") or {}
    if "type" not in loop and "by_epoch" in loop:
        loop["type"] = "EpochBasedTrainLoop" if loop.pop("by_epoch") else "IterBasedTrainLoop"
    _replace(loop)
    # So that the config that mmengine writes to the work dir imports this package.
    imports = dict(cfg.get("custom_imports") or dict(imports=[], allow_failed_imports=False))
    names = imports["imports"]
    names = [names] if isinstance(names, str) else list(names)
    cfg.custom_imports = {**imports, "imports": names if "smix_mm" in names else [*names, "smix_mm"]}
    if not loop or loop.get("type") in _EXACT.values():
        return []
    return [f"The train loop {loop.get('type')} is the config's own: a resume of this run is not exact."]


def _replace(part: Any) -> None:
    """Change the type of a hook or loop if it is one of mmengine's own."""
    kind = part.get("type") if isinstance(part, dict) else None
    for stock, exact in _EXACT.items():
        if kind in (stock, stock.__name__, f"mmengine.{stock.__name__}"):
            part["type"] = exact


def choose_checkpoint(cfg: Config, resume: str | None) -> Choice:
    """Choose the checkpoint to resume from, on the main process for all processes.

    Processes that torchrun restarted after a failure resume from the newest checkpoint of this launch, if there is one,
    regardless of ``resume``: ``'auto'`` for the newest complete checkpoint, a path, or None to start as configured.

    Raises:
        CheckpointError: The given checkpoint cannot be read or is not one of a training, or the chosen one does not
            exist for this process.
    """
    can_restart = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0
    if resume is None and not can_restart:
        return Choice(None, None, [])
    join_processes(cfg)
    # If a process of another machine failed, those of this one are restarted too, but their counter is not increased.
    restarted = any(all_gather_object(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0))
    choice = on_main_process(lambda: _choose(cfg, resume, restarted, can_restart))
    if choice.checkpoint is not None and not Path(choice.checkpoint).is_file():
        raise CheckpointError(
            f"checkpoint {choice.checkpoint} exists for the first process, but not for this one; use a work dir on a "
            "disk that all machines share"
        )
    return choice


def _choose(cfg: Config, resume: str | None, restarted: bool, can_restart: bool) -> Choice:
    marker = Path(cfg.work_dir) / STARTED
    if restarted and marker.is_file():
        choice = _newest(cfg, since=marker.stat().st_mtime_ns)
        if choice.checkpoint is not None:
            return choice
    elif can_restart:
        # Older checkpoints in the same folder belong to another run.
        write_text(marker, "")
    if resume is None:
        return Choice(None, None, [])
    return _newest(cfg) if resume == "auto" else Choice(resume, _resumable(Path(resume)), [])


def _newest(cfg: Config, since: int = 0) -> Choice:
    """The newest checkpoint that is complete and not only weights."""
    notes = []
    work_dir, out_dir = Path(cfg.work_dir), (cfg.get("default_hooks", {}).get("checkpoint") or {}).get("out_dir")
    folder = work_dir if out_dir is None else Path(out_dir) / work_dir.absolute().name
    found = [path for path in folder.glob("*.pth") if not path.name.startswith((".", "best_"))]
    if found and not reads_training_checkpoints():
        raise CheckpointError(
            f"{cfg.work_dir} has checkpoints, but torch {torch.__version__} cannot read them without unpickling; "
            f"use {TORCH_NEEDED}, or resume with OpenMMLab's own train.py"
        )
    ordered = newest_first(found)
    record = work_dir / "last_checkpoint"
    last = folder / Path(record.read_text(errors="replace").strip()).name if record.is_file() else None
    if last in ordered:
        # A run in a folder that was used before counts its epochs from 1 again.
        earlier = [path for path in ordered[: ordered.index(last)] if path.stat().st_mtime_ns < last.stat().st_mtime_ns]
        ordered = [path for path in ordered if path not in earlier]
        if earlier:
            names = first_few([path.name for path in earlier], 3)
            notes.append(f"Skipped: {names}, of an earlier run, because last_checkpoint names the newer {last.name}.")
    for path in ordered:
        if path.stat().st_mtime_ns < since:
            continue
        try:
            seed = _resumable(path)
        except CheckpointError as error:
            notes.append(f"Skipped: {error}.")
            continue
        return Choice(str(path), seed, [*notes, f"The newest complete checkpoint is {path}."])
    return Choice(None, None, [*notes, "There is no checkpoint to resume from: the run starts as configured."])


def _resumable(path: Path) -> int | None:
    """Check that a run can be resumed from a checkpoint; returns the run's seed."""
    content = read_checkpoint(path)
    missing = [name for name in _NEEDED if not isinstance(content.get(name), dict)]
    if not missing and not all(isinstance(content["meta"].get(name), int) for name in ("epoch", "iter")):
        missing = ["meta.epoch or meta.iter"]
    if missing:
        raise CheckpointError(
            f"checkpoint {path} has no {', '.join(missing)}, so a run cannot be resumed from it; to start only from "
            f"its weights, use --cfg-options load_from={path}"
        )
    seed = content["meta"].get("seed")
    return seed if isinstance(seed, int) else None


def resume_from(cfg: Config, choice: Choice) -> list[str]:
    """Set the chosen checkpoint and its seed in the config; returns lines for the log."""
    notes = list(choice.notes)
    cfg.resume = choice.checkpoint is not None
    if choice.checkpoint is None:
        return notes
    cfg.load_from = choice.checkpoint
    randomness = dict(cfg.get("randomness") or {})
    if choice.seed is not None and randomness.get("seed") != choice.seed:
        if randomness.get("seed") is not None:
            notes.append(f"The checkpoint's seed {choice.seed} is used, not the config's {randomness['seed']}.")
        # Before models and datasets are built, which may draw random numbers.
        cfg.randomness = {**randomness, "seed": choice.seed}
    return notes
