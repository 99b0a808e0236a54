"""Which checkpoint a run goes on from, and which parts of a config it takes for that to be exact."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.utils.dl_utils import set_multi_processing

from ...transfer.checkpoint import read_checkpoint
from ...utils.errors import CheckpointError
from ...utils.files import write_text

STARTED = ".started"

_EXACT = {
    CheckpointHook: "ExactCheckpointHook",
    EpochBasedTrainLoop: "ExactEpochBasedTrainLoop",
    IterBasedTrainLoop: "ExactIterBasedTrainLoop",
}
_NEEDED = ("meta", "state_dict", "message_hub")


class Choice(NamedTuple):
    """Where a run starts.

    Attributes:
        checkpoint: a file to go on from; None to start as the config says.
        seed: of the run that wrote it.
        notes: what was found on the way, for the log.
    """

    checkpoint: str | None
    seed: int | None
    notes: list[str]


def use_exact_parts(cfg: Config) -> list[str]:
    """Put the exact hook and loops in the place of mmengine's stock ones, in ``cfg`` itself.

    Returns:
        for the log: what is not stock, and so stays, and is not resumed exactly.
    """
    if cfg.get("runner_type", "Runner") != "Runner":
        return [f"The config has a Runner of its own, {cfg.runner_type}: a resume of this run is not exact."]
    # A config that leaves the hook out has mmengine's; one that says None wants none.
    cfg.default_hooks = dict(checkpoint=dict(type="CheckpointHook")) | dict(cfg.get("default_hooks") or {})
    for part in (cfg.default_hooks.checkpoint, *(cfg.get("custom_hooks") or ())):
        _replace(part)
    loop = cfg.get("train_cfg") or {}
    if "type" not in loop and "by_epoch" in loop:
        loop["type"] = "EpochBasedTrainLoop" if loop.pop("by_epoch") else "IterBasedTrainLoop"
    _replace(loop)
    _import_us(cfg)
    if not loop or loop.get("type") in _EXACT.values():
        return []
    return [f"The train loop {loop.get('type')} is the config's own: a resume of this run is not exact."]


def _replace(part: Any) -> None:
    """Change the type of a hook or loop, if it is one of mmengine's own."""
    kind = part.get("type") if isinstance(part, dict) else None
    for stock, exact in _EXACT.items():
        if kind in (stock, stock.__name__, f"mmengine.{stock.__name__}"):
            part["type"] = exact


def _import_us(cfg: Config) -> None:
    """The config that mmengine leaves in the work dir shall be complete."""
    imports = dict(cfg.get("custom_imports") or dict(imports=[], allow_failed_imports=False))
    names = imports["imports"]
    names = [names] if isinstance(names, str) else list(names)
    cfg.custom_imports = {**imports, "imports": names if "smix_mm" in names else [*names, "smix_mm"]}


def choose_checkpoint(cfg: Config, resume: str | None) -> Choice:
    """Find what to go on from; all processes get the same answer, which the main one looks for.

    A process that torchrun started again after a failure goes on from the newest checkpoint that
    this launch wrote, whatever ``resume`` says; where there is none, it does what it did first.

    Args:
        cfg: with ``work_dir`` and ``launcher``.
        resume: ``'auto'``, a checkpoint's path, or None to start as the config says.

    Raises:
        CheckpointError: the named checkpoint cannot be read, or is none to resume from; or the
            chosen one cannot be seen by this process.
    """
    watched = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0
    if resume is None and not watched:
        return Choice(None, None, [])
    if cfg.launcher != "none" and not is_distributed():
        environment = cfg.get("env_cfg") or {}
        # In the Runner's order, else mmengine takes another way to start workers.
        set_multi_processing(**environment.get("mp_cfg", {}), distributed=True)
        init_dist(cfg.launcher, **environment.get("dist_cfg", {}))
    # Where another machine lost a process, the processes of this one are started again, but not counted.
    restarted = any(all_gather_object(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0))
    answer: list[Any] = [None]
    if is_main_process():
        try:
            answer = [_choose(cfg, resume, restarted, watched)]
        except CheckpointError as error:
            answer = [error]
    broadcast_object_list(answer)
    (choice,) = answer
    if isinstance(choice, CheckpointError):
        raise choice
    if choice.checkpoint is not None and not Path(choice.checkpoint).is_file():
        raise CheckpointError(
            f"checkpoint {choice.checkpoint} is there for the first process, but not for this one; wanted a work dir "
            "on a disk that all machines share"
        )
    return choice


def _choose(cfg: Config, resume: str | None, restarted: bool, watched: bool) -> Choice:
    marker = Path(cfg.work_dir) / STARTED
    if restarted and marker.is_file():
        choice = _newest(cfg, since=marker.stat().st_mtime_ns)
        if choice.checkpoint is not None:
            return choice
    elif watched:
        # Older checkpoints in the same folder belong to another run.
        write_text(marker, "")
    if resume is None:
        return Choice(None, None, [])
    if resume == "auto":
        return _newest(cfg)
    seed = _resumable(Path(resume))
    return Choice(str(resume), seed, [])


def _newest(cfg: Config, since: int = 0) -> Choice:
    """The checkpoint written last, past those that are damaged or hold weights alone."""
    notes = []
    found = [path for path in _folder(cfg).glob("*.pth") if not path.name.startswith((".", "best_"))]
    if found and not hasattr(torch.serialization, "safe_globals"):
        raise CheckpointError(
            f"{cfg.work_dir} has checkpoints, but torch {torch.__version__} cannot read them without unpickling; "
            "wanted torch 2.5 or newer, or a resume with OpenMMLab's own train.py"
        )
    for path in sorted(found, key=_age, reverse=True):
        if path.stat().st_mtime_ns < since:
            break
        try:
            seed = _resumable(path)
        except CheckpointError as error:
            notes.append(f"Left out: {error}.")
            continue
        return Choice(str(path), seed, [*notes, f"The newest whole checkpoint is {path}."])
    return Choice(None, None, [*notes, "No checkpoint to go on from: the run starts as the config says."])


def _folder(cfg: Config) -> Path:
    """Where the config's checkpoint hook writes."""
    out_dir = (cfg.get("default_hooks", {}).get("checkpoint") or {}).get("out_dir")
    work_dir = Path(cfg.work_dir)
    return work_dir if out_dir is None else Path(out_dir) / work_dir.absolute().name


def _age(path: Path) -> tuple[int, int]:
    number = re.search(r"(\d+)\.pth$", path.name)
    return path.stat().st_mtime_ns, int(number.group(1)) if number else -1


def _resumable(path: Path) -> int | None:
    """Read a checkpoint to its end; the seed of its run."""
    content = read_checkpoint(path)
    missing = [name for name in _NEEDED if not isinstance(content, dict) or not isinstance(content.get(name), dict)]
    if not missing and not all(isinstance(content["meta"].get(name), int) for name in ("epoch", "iter")):
        missing = ["meta.epoch or meta.iter"]
    if missing:
        raise CheckpointError(
            f"checkpoint {path} has no {', '.join(missing)}; wanted one that training wrote: to start from its "
            f"weights alone, give them as --cfg-options load_from={path}"
        )
    seed = content["meta"].get("seed")
    return seed if isinstance(seed, int) else None


def go_on_from(cfg: Config, choice: Choice) -> list[str]:
    """Write a choice into the config.

    Returns:
        what is to be said about it in the log.
    """
    notes = list(choice.notes)
    cfg.resume = choice.checkpoint is not None
    if choice.checkpoint is None:
        return notes
    cfg.load_from = choice.checkpoint
    randomness = dict(cfg.get("randomness") or {})
    if choice.seed is not None and randomness.get("seed") != choice.seed:
        if randomness.get("seed") is not None:
            notes.append(f"The checkpoint's seed {choice.seed} is used, not the config's {randomness['seed']}.")
        # Before anything is built: models and datasets may draw while they are.
        cfg.randomness = {**randomness, "seed": choice.seed}
    return notes
