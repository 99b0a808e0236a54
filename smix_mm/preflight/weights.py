"""Weights: what ``init_cfg`` would load, and which settings a resume takes from its checkpoint."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, Mapping

import torch
from torch import nn

from ..datasets.check.splits import type_name
from ..transfer.checkpoint import literal_assignments, read_checkpoint, state_dict_of
from ..transfer.proof import prove_loaded
from ..utils.errors import CheckpointError, LoadProofError
from ..utils.text import first_few
from .classes import check_trained_classes
from .settings import Finding, contradiction, doubt, preprocessor_of, walk


def check_weights(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the files that weights come from, unless the run is resumed."""
    load_from = cfg.get("load_from")
    if isinstance(load_from, str) and load_from and "://" not in load_from:
        yield from _check_file("load_from", load_from)
    for path, settings in walk(cfg.get("model") or {}, "model"):
        if path.endswith(".init_cfg") and "Pretrained" in str(settings.get("type")):
            file = settings.get("checkpoint")
            if not isinstance(file, str) or not file:
                yield contradiction(f"{path}.checkpoint", f"is {file!r}", "name the file of the weights")
            elif "://" not in file:
                found = list(_check_file(f"{path}.checkpoint", file))
                yield from found
                if path == "model.backbone.init_cfg" and not found:
                    yield from _check_backbone(cfg, path, file, settings.get("prefix") or "")


def _check_file(setting: str, file: str) -> Iterator[Finding]:
    if not Path(file).exists():
        yield contradiction(setting, f"is {file}, which does not exist", "give an existing file")
        return
    try:
        read_checkpoint(file)
    except (CheckpointError, OSError) as error:
        yield contradiction(setting, str(error), "give another file")


def _check_backbone(cfg: Mapping[str, Any], path: str, file: str, prefix: str) -> Iterator[Finding]:
    """Load the weights into the backbone alone, and make the load proof of it.

    Without a LoadProofHook, tensors that only one of the two has are no finding, unless they share none.
    """
    content = read_checkpoint(file)
    _, preprocessor = preprocessor_of(cfg)
    model = _model_to_load(cfg, preprocessor)
    if model is None:
        return
    given = state_dict_of(content)
    start = f"{prefix.rstrip('.')}." if prefix else ""
    weights = {name[len(start) :]: value for name, value in given.items() if name.startswith(start)}
    for module in model.children():
        own = module.state_dict()
        fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
        module.load_state_dict(fitting, strict=False)
    hooks = [hook for hook in cfg.get("custom_hooks") or () if type_name(hook) == "LoadProofHook"]
    hook = hooks[0] if hooks else dict(new=("*",), unused=("*",))
    try:
        names = {name: hook.get(name, ()) for name in ("new", "unused")}
        prove_loaded(model, content, **names, prefix=prefix, dataloader=cfg.get("train_dataloader"))
    except CheckpointError as error:
        yield contradiction(f"{path}.checkpoint", f"{file}: {error}", "give another file")
    except LoadProofError as error:
        starts = list(dict.fromkeys(name.partition(".")[0] for name in given if "." in name))
        faults = "; ".join(line.strip(" -") for line in str(error).splitlines()[1:])
        yield contradiction(
            f"{path}.checkpoint",
            f"{type(model).__name__} does not start from {file}: {faults}; its names begin with {first_few(starts, 3)}",
            "give backbone and data_preprocessor the settings that the backbone was trained with; of a whole model, "
            f"publish the backbone with tools/publish_backbone.py, or set {path}.prefix",
        )


def _model_to_load(cfg: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> nn.Module | None:
    """A stand-in for the config's model, of what a load proof compares; None if it cannot be built here."""
    settings = cfg.get("model") or {}
    model = type(type_name(settings), (nn.Module,), {})()
    parts = dict(backbone=settings.get("backbone"), shared_head=(settings.get("roi_head") or {}).get("shared_head"))
    try:
        models = import_module(f"{cfg.get('default_scope') or 'mmengine'}.registry").MODELS
        for name, part in parts.items():
            if part:
                part = deepcopy(dict(part))
                part.pop("init_cfg", None)
                with torch.random.fork_rng([]):
                    model.add_module(name, models.build(part))
    except Exception:  # what cannot be built stops the training itself
        return None
    if "shared_head" in dict(model.named_children()):
        object.__setattr__(model, "roi_head", SimpleNamespace(shared_head=model.shared_head))
    flips = bool(preprocessor.get("bgr_to_rgb") or preprocessor.get("to_rgb"))
    numbers = {name: preprocessor.get(name) for name in ("mean", "std")}
    tensors = {name: torch.tensor(value) for name, value in numbers.items() if isinstance(value, (list, tuple))}
    object.__setattr__(model, "data_preprocessor", SimpleNamespace(to_rgb=flips, **tensors))
    return model


def check_resume(cfg: Mapping[str, Any], path: str | Path, config_schedule: bool) -> Iterator[Finding]:
    """Name each setting of the config that the checkpoint overrides; with ``config_schedule``, it overrides few."""
    content = read_checkpoint(path)
    meta = content.get("meta") or {}
    if not config_schedule:
        yield from _check_optimizer(cfg, content, path)
        yield from _check_schedules(cfg, content, path)
    yield from check_trained_classes(cfg, meta, path)
    before = literal_assignments(str(meta.get("cfg", ""))).get("optim_wrapper") or {}
    before, now = ((one.get("optimizer") or {}).get("type") for one in (before, cfg.get("optim_wrapper") or {}))
    if isinstance(before, str) and isinstance(now, str) and before != now:
        problem = f"is {now}, but {path} holds the state of {before}"
        yield contradiction(
            "optim_wrapper.optimizer.type", problem, f"set it to {before}, or start with load_from={path}"
        )
    loop = cfg.get("train_cfg") or {}
    for unit, counted in (("max_epochs", meta.get("epoch")), ("max_iters", meta.get("iter"))):
        most = loop.get(unit)
        if isinstance(most, int) and isinstance(counted, int) and counted >= most:
            problem = f"is {most}, and {path} was written at {counted}, so nothing is left to train"
            yield doubt(f"train_cfg.{unit}", problem, f"set train_cfg.{unit} higher, or do not resume")
    hooks = cfg.get("custom_hooks") or ()
    averages = any("EMAHook" in str(hook.get("type")) for hook in hooks if isinstance(hook, Mapping))
    if averages and "ema_state_dict" not in content:
        problem = f"has an EMAHook, but {path} holds no average"
        yield doubt("custom_hooks", problem, "the average starts anew from its weights")
    elif not averages and "ema_state_dict" in content:
        yield doubt("custom_hooks", f"has no EMAHook, but {path} holds an average", "add it, or the average is lost")


def _check_optimizer(cfg: Mapping[str, Any], content: Mapping[str, Any], path: str | Path) -> Iterator[Finding]:
    wrapper = cfg.get("optim_wrapper") or {}
    optimizer = wrapper.get("optimizer")
    groups = (content.get("optimizer") or {}).get("param_groups")
    if not isinstance(optimizer, Mapping) or not isinstance(groups, (list, tuple)):
        return
    unknown = ["weight_decay"] if wrapper.get("paramwise_cfg") else []
    unknown += ["lr"] if (cfg.get("auto_scale_lr") or {}).get("enable") else []
    for name, ours in optimizer.items():
        saved = [group.get("initial_lr", group.get("lr")) if name == "lr" else group.get(name) for group in groups]
        known = [value for value in saved if value is not None and name not in unknown]
        if known and not any(_same(value, ours) for value in known):
            yield _overridden(f"optim_wrapper.optimizer.{name}", ours, known[0], path)


def _check_schedules(cfg: Mapping[str, Any], content: Mapping[str, Any], path: str | Path) -> Iterator[Finding]:
    schedules = cfg.get("param_scheduler") or ()
    schedules = [schedules] if isinstance(schedules, Mapping) else schedules
    saved_schedules, loop = content.get("param_schedulers") or (), cfg.get("train_cfg") or {}
    if not isinstance(saved_schedules, (list, tuple)):
        return
    if len(schedules) != len(saved_schedules):
        yield _overridden("param_scheduler", f"{len(schedules)} schedules", f"{len(saved_schedules)} schedules", path)
    elif not any(schedule.get("convert_to_iter_based") for schedule in schedules):
        for index, (schedule, saved) in enumerate(zip(schedules, saved_schedules)):
            # As mmengine does, where a schedule names no end.
            unit = "max_epochs" if schedule.get("by_epoch", True) else "max_iters"
            end = {"end": loop[unit]} if loop.get(unit) and "end" not in schedule else {}
            for name, ours in {**schedule, **end}.items():
                if name in saved and not _same(_plain(saved[name]), _plain(ours)):
                    shown = f"{ours} (train_cfg.{unit})" if name in end else ours
                    yield _overridden(f"param_scheduler.{index}.{name}", shown, _plain(saved[name]), path)


def _plain(value: Any) -> Any:
    """Milestones are a Counter in a scheduler's state, and a list in a config."""
    if isinstance(value, Mapping):
        return sorted(Counter(value).elements())
    return list(value) if isinstance(value, (tuple, list)) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-9 * max(abs(one), abs(other), 1e-12)
    return bool(one == other)


def _overridden(setting: str, ours: Any, theirs: Any, path: str | Path) -> Finding:
    return doubt(
        setting,
        f"is {ours} in the config, but {path} resumes with {theirs}",
        "add --config-schedule for the config's value, or set it back",
    )
