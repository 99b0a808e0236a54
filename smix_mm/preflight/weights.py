"""Weights: what ``init_cfg`` would load, and which settings a resume takes from its checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Iterator, Mapping

from torch import Tensor

from ..transfer.checkpoint import read_checkpoint
from ..utils.errors import CheckpointError
from ..utils.text import first_few
from .findings import Finding, contradiction, doubt
from .settings import preprocessor_of, walk

# Of an optimizer's parameter groups; a checkpoint's state replaces the config's.
_OPTIMIZER = ("lr", "momentum", "weight_decay", "nesterov", "betas", "eps", "dampening", "alpha", "amsgrad")
_SCHEDULE = ("milestones", "gamma", "T_max", "eta_min", "factor", "power", "total_iters", "begin", "end", "step_size")


def check_weights(cfg: Mapping[str, Any], resume: str | Path | None = None) -> list[Finding]:
    """Check the files that weights come from.

    Args:
        cfg: the config.
        resume: checkpoint to resume from; the config's own weights are then not used, and not checked.
    """
    if resume is not None:
        return list(_check_resume(cfg, Path(resume)))
    findings = []
    load_from = cfg.get("load_from")
    if isinstance(load_from, str) and "://" not in load_from and not Path(load_from).is_file():
        findings.append(contradiction("load_from", f"is {load_from}, which does not exist", "give an existing file"))
    for path, settings in walk(cfg.get("model") or {}, "model"):
        if path.endswith(".init_cfg") and "Pretrained" in str(settings.get("type")):
            findings += _check_pretrained(cfg, path, settings)
    return findings


def _check_pretrained(cfg: Mapping[str, Any], path: str, init_cfg: Mapping[str, Any]) -> Iterator[Finding]:
    file = init_cfg.get("checkpoint")
    if not isinstance(file, str) or not file:
        yield contradiction(f"{path}.checkpoint", f"is {file!r}", "name the file of the weights")
        return
    if "://" in file:
        return
    if not Path(file).is_file():
        yield contradiction(f"{path}.checkpoint", f"is {file}, which does not exist", "give an existing file")
        return
    try:
        content = read_checkpoint(file)
    except CheckpointError as error:
        yield contradiction(f"{path}.checkpoint", str(error), "give another file")
        return
    if path == "model.backbone.init_cfg" and isinstance(content, Mapping):
        yield from _check_backbone(cfg, path, content, init_cfg.get("prefix"))


def _check_backbone(
    cfg: Mapping[str, Any], path: str, content: Mapping[str, Any], prefix: str | None
) -> Iterator[Finding]:
    given = content.get("state_dict", content)
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if prefix:
        start = prefix if prefix.endswith(".") else f"{prefix}."
        tensors = {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
    expected = _backbone_tensors(cfg)
    if expected is not None:
        found = [name for name in expected if name in tensors]
        reshaped = [name for name in found if tensors[name].shape != expected[name]]
        if not found:
            starts = list(dict.fromkeys(name.partition(".")[0] for name in given if "." in name))
            common = starts[0] if starts else ""
            yield contradiction(
                f"{path}.checkpoint",
                f"holds none of the backbone's {len(expected)} tensors; its names begin with {first_few(starts, 3)}",
                f"publish it with tools/publish_backbone.py, or set {path}.prefix='{common}.'",
            )
        elif reshaped:
            name = reshaped[0]
            yield contradiction(
                f"{path}.checkpoint",
                f"has {len(reshaped)} tensors of another shape than the backbone, such as {name} "
                f"{tuple(tensors[name].shape)}, not {tuple(expected[name])}",
                "give the backbone the settings that the checkpoint was trained with",
            )
    meta = content.get("meta")
    recorded = meta if isinstance(meta, Mapping) and "backbone" in str(meta.get("format", "")) else {}
    where, preprocessor = preprocessor_of(cfg)
    for name in ("mean", "std"):
        theirs, ours = recorded.get(name), preprocessor.get(name)
        if theirs is None or ours is None:
            continue
        if len(theirs) != len(ours) or any(abs(a - b) > 0.05 for a, b in zip(theirs, ours)):
            yield contradiction(
                f"{where}.{name}",
                f"is {list(ours)}, but the backbone was trained with {list(theirs)}",
                "use the latter",
            )
    order = recorded.get("channel_order")
    flips = bool(preprocessor.get("bgr_to_rgb") or preprocessor.get("to_rgb"))
    if order in ("rgb", "bgr") and (order == "rgb") != flips:
        yield contradiction(
            f"{where}.bgr_to_rgb",
            f"is {flips}, but the backbone was trained on {order.upper()}",
            f"set it to {not flips}",
        )


def _backbone_tensors(cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """Shapes by name of the backbone that the config builds; None where it cannot be built here."""
    from copy import deepcopy
    from importlib import import_module

    import torch

    settings = deepcopy(dict((cfg.get("model") or {}).get("backbone") or {}))
    settings.pop("init_cfg", None)
    try:
        models = import_module(f"{cfg.get('default_scope') or 'mmengine'}.registry").MODELS
        with torch.random.fork_rng([]):
            return {name: value.shape for name, value in models.build(settings).state_dict().items()}
    except Exception:  # what does not build stops the training itself, with its own words
        return None


def _check_resume(cfg: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    content = read_checkpoint(path)
    optimizer = (cfg.get("optim_wrapper") or {}).get("optimizer")
    groups = (content.get("optimizer") or {}).get("param_groups")
    if isinstance(optimizer, Mapping) and isinstance(groups, (list, tuple)) and groups:
        plain = not (cfg["optim_wrapper"].get("paramwise_cfg"))
        for name in _OPTIMIZER:
            if name not in optimizer:
                continue
            saved = [group.get("initial_lr", group.get("lr")) if name == "lr" else group.get(name) for group in groups]
            known = [value for value in saved if value is not None]
            if (
                known
                and not any(_same(value, optimizer[name]) for value in known)
                and (plain or name != "weight_decay")
            ):
                yield _overridden(f"optim_wrapper.optimizer.{name}", optimizer[name], known[0], path)
    schedules = cfg.get("param_scheduler") or ()
    schedules = [schedules] if isinstance(schedules, Mapping) else schedules
    saved_schedules = content.get("param_schedulers") or ()
    if isinstance(saved_schedules, (list, tuple)):
        if len(schedules) != len(saved_schedules):
            yield _overridden(
                "param_scheduler", f"{len(schedules)} schedules", f"{len(saved_schedules)} schedules", path
            )
        elif not any(schedule.get("convert_to_iter_based") for schedule in schedules):
            for index, (schedule, saved) in enumerate(zip(schedules, saved_schedules)):
                for name in _SCHEDULE:
                    if name in schedule and name in saved and not _same(_plain(saved[name]), _plain(schedule[name])):
                        setting = f"param_scheduler.{index}.{name}"
                        yield _overridden(setting, schedule[name], _plain(saved[name]), path)
    meta = content.get("meta") or {}
    loop = cfg.get("train_cfg") or {}
    for unit, counted in (("max_epochs", meta.get("epoch")), ("max_iters", meta.get("iter"))):
        most = loop.get(unit)
        if isinstance(most, int) and isinstance(counted, int) and counted >= most:
            yield doubt(
                f"train_cfg.{unit}",
                f"is {most}, and {path} was written at {counted}, so nothing is left to train",
                f"set train_cfg.{unit} higher, or do not resume",
            )
    hooks = cfg.get("custom_hooks") or ()
    if any("EMAHook" in str(hook.get("type")) for hook in hooks if isinstance(hook, Mapping)):
        if "ema_state_dict" not in content:
            yield doubt(
                "custom_hooks",
                f"has an EMAHook, but {path} holds no average",
                "the average starts anew from its weights",
            )
    elif "ema_state_dict" in content:
        yield doubt("custom_hooks", f"has no EMAHook, but {path} holds an average", "add it, or the average is lost")


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


def _overridden(setting: str, ours: Any, theirs: Any, path: Path) -> Finding:
    return doubt(
        setting,
        f"is {ours} in the config, but {path} resumes with {theirs}",
        "add --config-schedule for the config's value, or set it back",
    )
