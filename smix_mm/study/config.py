"""The config of a study: arms, detectors and seeds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Mapping

from mmengine.config import Config

from ..datasets.check.splits import type_name
from ..evaluation.average_precision import DEFINITIONS
from ..utils.config import find_config, read_config
from ..utils.errors import UsageError
from .run import PRETRAINING, STALE

CLUSTER_KEYS = ("partition", "nodes", "minutes", "cpus", "gpus", "memory_gb", "setup", "export")
_KINDS: Mapping[str, type] = dict(name=str, metric=str, detectors=dict, paper=dict, cluster=dict, seconds=dict)


@dataclass(frozen=True)
class RunConfig:
    """The config of a pretraining or of a detector: a file, and settings that are merged into it.

    Attributes:
        path: the config file.
        cfg_options: settings by dotted name, merged into the config as ``--cfg-options`` does. Defaults to none.
    """

    path: Path
    cfg_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def read(self) -> Config:
        """The config with its settings merged in."""
        return read_config(self.path, self.cfg_options)

    @cached_property
    def text(self) -> str:
        """The whole config with its bases and settings, as text; read once."""
        text: str = self.read().pretty_text
        return text


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        name: title of the report. Defaults to the name of the config file.
        arms: by name; the first is the reference. Each is the config of a pretraining, or a checkpoint: a file,
            ``torchvision://NAME``, ``timm://NAME`` or ``released://ROW``.
        detectors: configs of detectors with their data sets, by name; each has a LoadProofHook. If empty,
            the pretrainings themselves are compared.
        pretraining_seeds: of the pretrainings; arms are paired by them. Defaults to ``(0,)``.
        finetuning_seeds: of the fine-tunings of each backbone. Several fine-tunings of one backbone do not show
            the spread between pretrainings. Defaults to ``(0,)``.
        metric: name of the compared figure: one of :func:`~smix_mm.evaluation.average_precision.evaluate`, or without
            detectors one of the pretrainings' validation. Defaults to ``'voc/mAP_11point'``.
        planned: pairs of arms that the study is meant to tell apart. Their p values are corrected for
            each other alone, and those of all other pairs, called exploration, for each other.
            Defaults to none: all pairs are corrected together.
        paper: figures of a paper, by arm, in the metric's units; shown in the report.
        sheet: None, or the arm from whose training images the sheet of mixed images is drawn.
        prepare: None, or ``dict(call='package.module:function', variable=NAME)``: a function
            that writes the data into the folder that it is given; the configs find that folder
            in the environment variable.
        cluster: resources of a run: any of ``cpus``, ``gpus`` and ``memory_gb`` of each node, ``export`` (list of
            patterns of variables that it gets beyond :data:`smix_mm.study.cluster.EXPORTED`), and for Slurm alone
            ``partition``, ``nodes``, ``minutes`` and ``setup`` (list of shell lines).
        seconds: approximate duration of a run, by detector's name or ``'pretraining'``, for the estimated time
            left until a run of that kind is finished. Defaults to unknown.
        next: a sentence to print at the end, or None.
    """

    name: str
    arms: Mapping[str, RunConfig | str]
    detectors: Mapping[str, RunConfig]
    pretraining_seeds: tuple[int, ...] = (0,)
    finetuning_seeds: tuple[int, ...] = (0,)
    metric: str = "voc/mAP_11point"
    planned: tuple[tuple[str, str], ...] = ()
    paper: Mapping[str, float] = dataclasses.field(default_factory=dict)
    sheet: str | None = None
    prepare: Mapping[str, str] | None = None
    cluster: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    next: str | None = None


def load_study(config: str | Path) -> Study:
    """Read and check a study's config, see :func:`~smix_mm.utils.config.find_config`.

    An arm in ``arms=dict(NAME=..., ...)`` is the path of a pretraining's config, such a config with settings
    merged into it, or a checkpoint. A detector in ``detectors=dict(NAME=..., ...)`` is a config, with or without
    settings:

    .. code-block:: python

        arms = dict(
            baseline="pretrain.py",
            deep=dict(config="pretrain.py", cfg_options={"model.backbone.depth": 101}),
            imagenet=dict(checkpoint="torchvision://resnet50"),
        )

    Names that start with an underscore are ignored, so settings shared by arms can be such a variable. Paths are
    relative to the folder of the study's config. ``cfg_options`` may be nested dicts or dotted names. They are part
    of the config's content: a finished run is done again when they change.

    Raises:
        UsageError: the file or a file that it names is missing, or a setting is unknown or has an invalid value.
    """
    path = find_config(config)
    if not path.is_file():
        raise UsageError(f"study {config} does not exist. It should be a config such as configs/demo/study.py.")
    try:
        study = _read_study(path)
        _check(study)
    except UsageError as error:
        raise UsageError(f"study {path}: {error}") from error
    return study


def _read_study(path: Path) -> Study:
    content = {name: value for name, value in read_config(path).to_dict().items() if not name.startswith("_")}
    _check_keys("its settings", content, {field.name for field in dataclasses.fields(Study)})
    for key, expected in _KINDS.items():
        if not isinstance(content.get(key, expected()), expected):
            raise UsageError(f"{key} should be a {expected.__name__}, got {content[key]!r}.")
    for key in ("paper", "seconds"):
        if not all(isinstance(value, (int, float)) for value in content.get(key, {}).values()):
            raise UsageError(f"{key} should have numbers, got {content[key]!r}.")
    arms = content.get("arms")
    if not isinstance(arms, dict) or not arms:
        raise UsageError(f"arms should be dict(NAME=CONFIG, ...), got {arms!r}.")
    detectors = content.get("detectors", {})
    for kind, name in [*(("an arm", name) for name in arms), *(("a detector", name) for name in detectors)]:
        _check_name(kind, name)
    parsed = dict(
        arms={name: _arm(path.parent, name, value) for name, value in arms.items()},
        detectors={name: _run_config(path.parent, f"detector {name}", value) for name, value in detectors.items()},
        pretraining_seeds=_seeds(content, "pretraining_seeds"),
        finetuning_seeds=_seeds(content, "finetuning_seeds"),
        planned=_pairs(content.get("planned", ()), set(arms)),
    )
    return Study(**{"name": path.stem, **content, **parsed})


def _check_keys(kind: str, given: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise UsageError(f"{kind} should be of {', '.join(sorted(known))}, got {', '.join(unknown)}.")


def _check_name(kind: str, name: Any) -> None:
    """Names become parts of folders, ARM/seed0/pretraining and ARM/seed0/DETECTOR/seed1."""
    letters = name.replace("-", "").replace("_", "").replace(".", "") if isinstance(name, str) else ""
    if not letters.isalnum() or name.startswith(".") or STALE in name:
        raise UsageError(f"the name of {kind} should be of letters, digits, '-', '_' and '.', got {name!r}.")
    if name == PRETRAINING:
        raise UsageError(f"the name of {kind} should not be 'pretraining', the folder of an arm's pretraining.")


def _seeds(content: Mapping[str, Any], name: str) -> tuple[int, ...]:
    seeds = content.get(name, [0])
    valid = isinstance(seeds, (list, tuple)) and all(isinstance(seed, int) and seed >= 0 for seed in seeds)
    if not valid or not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"{name} should be different integers of at least 0, such as [0, 1, 2], got {seeds!r}.")
    return tuple(seeds)


def _pairs(pairs: Any, arms: set[str]) -> tuple[tuple[str, str], ...]:
    valid = isinstance(pairs, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and len([arm for arm in arms if arm in pair]) == 2
        for pair in pairs
    )
    if not valid or len(set(map(frozenset, pairs))) < len(pairs):
        raise UsageError(f"planned should be different pairs of arms, such as [('one', 'another')], got {pairs!r}.")
    return tuple((first, second) for first, second in pairs)


def _arm(folder: Path, name: str, value: Any) -> RunConfig | str:
    if not isinstance(value, dict) or "config" in value:
        return _run_config(folder, f"arm {name}", value)
    checkpoint = value.get("checkpoint")
    if set(value) != {"checkpoint"} or not isinstance(checkpoint, str):
        raise UsageError(
            f"arm {name} should be the config of a pretraining, dict(config=FILE, cfg_options=dict(...)) or "
            "dict(checkpoint=...) with a file, 'torchvision://resnet50' or 'timm://resnet50.a1_in1k', "
            f"got {value!r}."
        )
    return checkpoint if "://" in checkpoint else str(folder / checkpoint)


def _run_config(folder: Path, name: str, value: Any) -> RunConfig:
    given = dict(config=value) if isinstance(value, str) else value if isinstance(value, dict) else {}
    file, settings = given.get("config"), given.get("cfg_options", {})
    if set(given) - {"cfg_options"} != {"config"} or not isinstance(file, str) or not isinstance(settings, dict):
        raise UsageError(
            f"{name} should be the path of a config or dict(config=FILE, cfg_options=dict(...)), got {value!r}."
        )
    config = RunConfig(folder / file, _flatten(settings))
    if settings or not config.path.is_file():
        try:
            config.read()
        except UsageError as error:
            raise UsageError(f"{name}: {error} (paths are relative to the study's config)") from error
    return config


def _flatten(settings: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _check_values(study: Study) -> None:
    """Check the metric, ``cluster`` and ``prepare``."""
    of_class = tuple(f"{entry.classwise}/" for entry in DEFINITIONS.values() if entry.classwise)
    if study.detectors and study.metric not in DEFINITIONS and not study.metric.startswith(of_class):
        raise UsageError(
            f"metric should be one of {', '.join(DEFINITIONS)}, or that of a class, such as {of_class[0]}CLASS, since "
            f"there are detectors, got {study.metric!r}."
        )
    _check_keys("the keys of cluster", study.cluster, set(CLUSTER_KEYS))
    for name, value in study.cluster.items():
        if name in ("setup", "export"):
            if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
                raise UsageError(f"{name} in cluster should be a list of strings, got {value!r}.")
        elif name != "partition" and not isinstance(value, (int, float, type(None))):
            raise UsageError(f"{name} in cluster should be a number, got {value!r}.")
    made = study.prepare
    if made is not None and not (
        isinstance(made, dict) and {*map(type, made.values())} == {str} and {*made} == {"call", "variable"}
    ):
        raise UsageError(f"prepare should be dict(call='package.module:function', variable=NAME), got {made!r}.")


def _check(study: Study) -> None:
    _check_values(study)
    if study.sheet is not None and not isinstance(study.arms.get(str(study.sheet)), RunConfig):
        raise UsageError(f"sheet should be an arm with a pretraining, got {study.sheet!r}.")
    checkpoints = [arm for arm in study.arms.values() if isinstance(arm, str)]
    if not study.detectors and checkpoints:
        raise UsageError("it has arms without pretraining, so it needs detectors: detectors=dict(NAME=CONFIG).")
    for checkpoint in checkpoints:
        if "://" not in checkpoint and not Path(checkpoint).is_file():
            raise UsageError(f"{checkpoint} does not exist. Paths are relative to the study's config.")
    for place, configs, expected, other in (
        ("arms", study.arms, "a classifier", "mmdet"),
        ("detectors", study.detectors, "a detector", "mmpretrain"),
    ):
        for config in configs.values():
            if isinstance(config, RunConfig) and config.read().get("default_scope") == other:
                raise UsageError(
                    f"{config.path} in {place} should be the config of {expected}, got default_scope={other!r}."
                )
    for detector in study.detectors.values():
        hooks = detector.read().get("custom_hooks") or ()
        if "LoadProofHook" not in [type_name(hook) for hook in hooks if isinstance(hook, dict)]:
            raise UsageError(
                f"{detector.path} has no LoadProofHook, which proves that the backbone was loaded. Add "
                "custom_hooks=[dict(type='LoadProofHook')] to it."
            )
