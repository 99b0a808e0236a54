"""What a preflight finds, and where the settings of a config are."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Iterator, Mapping, Sequence

from ..utils.packages import OPENMMLAB

PARTS = ("train", "val", "test")
CONTRADICTION, DOUBT = "contradiction", "doubt"


@dataclass(frozen=True)
class Finding:
    """One place where a config contradicts itself, its data or its checkpoint.

    Attributes:
        level: ``'contradiction'``, which stops a training, or ``'doubt'``, which is a warning.
        setting: dotted name of the setting that is wrong, as ``--cfg-options`` takes it.
        problem: what was found, and what it was compared with.
        fix: what to change.
    """

    level: str
    setting: str
    problem: str
    fix: str


contradiction, doubt = partial(Finding, CONTRADICTION), partial(Finding, DOUBT)


def format_findings(findings: Sequence[Finding]) -> str:
    """A line a finding, contradictions first, and the count of both at the end."""
    ordered = sorted(findings, key=lambda finding: finding.level)
    lines = [f"{finding.level}: {finding.setting}: {finding.problem}; {finding.fix}" for finding in ordered]
    counts = [(sum(finding.level == level for finding in findings), level) for level in (CONTRADICTION, DOUBT)]
    total = ", ".join(f"{number} {level}{'' if number == 1 else 's'}" for number, level in counts)
    return "\n".join([*lines, f"preflight: {total}"])


def walk(settings: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every dict inside settings, with its dotted name."""
    if isinstance(settings, Mapping):
        yield path, settings
        for name, value in settings.items():
            yield from walk(value, f"{path}.{name}")
    elif isinstance(settings, (list, tuple)):
        for index, value in enumerate(settings):
            yield from walk(value, f"{path}.{index}")


def pipelines_of(cfg: Mapping[str, Any], part: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Name and steps of each pipeline of a dataloader, those of its wrappers first."""
    loader = (cfg.get(f"{part}_dataloader") or {}).get("dataset")
    return [
        (f"{path}.pipeline", [step for step in settings["pipeline"] if isinstance(step, Mapping)])
        for path, settings in walk(loader, f"{part}_dataloader.dataset")
        if isinstance(settings.get("pipeline"), (list, tuple)) and settings["pipeline"] and ".pipeline." not in path
    ]


def evaluators_of(cfg: Mapping[str, Any], part: str) -> list[tuple[str, Mapping[str, Any]]]:
    given = cfg.get(f"{part}_evaluator")
    if isinstance(given, Mapping) and not isinstance(given.get("metrics"), (list, tuple, Mapping)):
        return [(f"{part}_evaluator", given)]
    given = given["metrics"] if isinstance(given, Mapping) else given
    return _listed(given, f"{part}_evaluator")


def registered(cfg: Mapping[str, Any], registry: str, settings: Mapping[str, Any]) -> type | None:
    """The class that a config's ``type`` names, or None where it is not found."""
    kind = settings.get("type")
    if not isinstance(kind, str):
        return kind if inspect.isclass(kind) else None
    scope = kind.partition(".")[0] if "." in kind else cfg.get("default_scope") or "mmengine"
    try:
        found = getattr(import_module(f"{scope}.registry"), registry).get(kind)
    except Exception:  # a package that is not installed, or a name that it does not know
        return None
    return found if inspect.isclass(found) else None


def is_known(kind: type | None) -> bool:
    """Whether a class is OpenMMLab's or this package's, so that its settings mean what they are expected to mean."""
    return kind is not None and kind.__module__.partition(".")[0] in (*OPENMMLAB, "smix_mm")


def default_of(kind: type | None, argument: str) -> Any:
    """The default of an argument of a class, looked for in its base classes too; None where it has none."""
    for base in kind.__mro__ if kind is not None else ():
        own = vars(base).get("__init__")
        parameter = inspect.signature(own).parameters.get(argument) if own is not None else None
        if parameter is not None:
            return None if parameter.default is inspect.Parameter.empty else parameter.default
    return None


def preprocessor_of(cfg: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and settings of the data preprocessor; a model's own replaces the config's."""
    own = (cfg.get("model") or {}).get("data_preprocessor")
    if isinstance(own, Mapping):
        return "model.data_preprocessor", own
    return "data_preprocessor", cfg.get("data_preprocessor") or {}


def augments_of(preprocessor: Mapping[str, Any], path: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and settings of each batch augmentation of mmpretrain's data preprocessor."""
    given = preprocessor.get("batch_augments")
    augments = given.get("augments") if isinstance(given, Mapping) else None
    if isinstance(augments, Mapping):
        return [(f"{path}.batch_augments.augments", augments)]
    return _listed(augments, f"{path}.batch_augments.augments")


def _listed(given: Any, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    given = [given] if isinstance(given, Mapping) else given or ()
    return [(f"{path}.{index}", one) for index, one in enumerate(given) if isinstance(one, Mapping)]
