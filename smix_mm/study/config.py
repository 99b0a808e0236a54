"""What a study compares: arms, detectors and seeds, read from a plain config."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Mapping

from mmengine.config import Config

from ..utils.command_line import add_cfg_options
from ..utils.config import read_config
from ..utils.errors import UsageError

CLUSTER_KEYS = ("partition", "minutes", "cpus", "gpus", "memory_gb", "setup")


@dataclass(frozen=True)
class RunConfig:
    """The config of a pretraining or of a detector: a file, and settings that are merged into it.

    Attributes:
        path: the config file.
        cfg_options: settings by dotted name, merged into the config as ``--cfg-options`` does. Values are
            numbers, strings, booleans, None, and lists or tuples of these. Defaults to none.
    """

    path: Path
    cfg_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def read(self) -> Config:
        """The config with its settings merged in."""
        config = read_config(self.path)
        config.merge_from_dict(dict(self.cfg_options))
        return config

    @cached_property
    def text(self) -> str:
        """The whole config with its bases and settings, as text; read once."""
        text: str = self.read().pretty_text
        return text

    def arguments(self) -> list[str]:
        """``KEY=VALUE`` of each setting, for ``--cfg-options``."""
        return [f"{name}={_format_value(value)}" for name, value in self.cfg_options.items()]


@dataclass(frozen=True)
class Arm:
    """One source of a backbone: a pretraining or an existing checkpoint.

    Attributes:
        name: its name in the report.
        pretraining: config of the pretraining, or None.
        checkpoint: a file, ``torchvision://NAME`` or ``timm://NAME``, or None.
    """

    name: str
    pretraining: RunConfig | None = None
    checkpoint: str | None = None


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        name: the title of the report.
        arms: by name; the first is the one compared with.
        detectors: configs of detectors with their data, by name; each has a LoadProofHook. None
            at all: the pretrainings themselves are compared.
        pretraining_seeds: of the pretrainings; arms are paired by them. Defaults to 0 alone.
        finetuning_seeds: of the fine-tunings of each backbone. Several of one backbone say nothing
            about the spread of the pretraining. Defaults to 0 alone.
        metric: the figure that is compared. Defaults to ``'voc/mAP_11point'``.
        planned: pairs of arms that the study was made to tell apart. Their p values are corrected for
            each other alone, and those of all other pairs, called exploration, for each other.
            Defaults to none: every pair counts alike.
        paper: figures of a paper to set beside, by arm, in the metric's units.
        sheet: None, or the arm from whose training images the page of mixed images is drawn.
        prepare: None, or ``dict(call='package.module:function', variable=NAME)``: a function
            that writes the data into the folder it is given, once; the configs find that folder
            in the environment variable.
        cluster: what a Slurm job asks for: any of ``partition``, ``minutes``, ``cpus``, ``gpus``,
            ``memory_gb``, ``setup`` (list of shell lines).
        seconds: about how long a run takes, by detector's name or ``'pretraining'``: for the time
            left as long as no run of a kind is finished. Defaults to not known.
        next: a sentence that the study ends with on the screen, or None.
    """

    name: str
    arms: Mapping[str, Arm]
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
    """Read and check a study's config.

    An arm in ``arms=dict(NAME=..., ...)`` is the path of a pretraining's config, such a config with settings
    merged into it, or a checkpoint; a detector in ``detectors=dict(NAME=..., ...)`` is one of the first two:

    .. code-block:: python

        arms = dict(
            baseline="pretrain.py",
            deep=dict(config="pretrain.py", cfg_options={"model.backbone.depth": 101}),
            imagenet=dict(checkpoint="torchvision://resnet50"),
        )

    Paths are relative to the folder of the study's config. ``cfg_options`` may be nested dicts or dotted names and is
    passed to the training as ``--cfg-options``, so its values are numbers, strings without spaces and commas, booleans,
    None, or lists and tuples of these; settings with other values, such as lists of dicts, need a config file. They
    are part of the config's content: a finished run is done again when they change.

    Raises:
        UsageError: the file or a file that it names is missing, or a setting is unknown or has an invalid value.
    """
    path = Path(config)
    if not path.is_file():
        raise UsageError(f"study {config} is not there; wanted a config such as configs/demo/study.py")
    content = read_config(path).to_dict()
    known = {field.name for field in dataclasses.fields(Study)}
    unknown = sorted(set(content) - known)
    if unknown:
        raise UsageError(f"study {config} has {', '.join(unknown)}; wanted of {', '.join(sorted(known))} alone")
    plain = ("metric", "paper", "sheet", "prepare", "cluster", "seconds", "next")
    settings = {name: content[name] for name in plain if name in content}
    study = Study(
        name=content.get("name", path.stem),
        arms={name: _arm(path, name, value) for name, value in _mapping(path, content, "arms").items()},
        detectors={name: _run_config(path, name, value) for name, value in content.get("detectors", {}).items()},
        pretraining_seeds=_seeds(path, content, "pretraining_seeds"),
        finetuning_seeds=_seeds(path, content, "finetuning_seeds"),
        planned=_pairs(path, content),
        **settings,
    )
    _check(path, study)
    return study


def _mapping(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    if not isinstance(value, dict) or not value:
        raise UsageError(f"study {path} has {name}={value!r}; wanted {name}=dict(NAME=CONFIG, ...)")
    return value


def _seeds(path: Path, content: Mapping[str, Any], name: str) -> tuple[int, ...]:
    seeds = content.get(name, [0])
    whole = isinstance(seeds, (list, tuple)) and all(isinstance(seed, int) and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"study {path} has {name}={seeds!r}; wanted different whole numbers, such as [0, 1, 2]")
    return tuple(seeds)


def _pairs(path: Path, content: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs, arms = content.get("planned", ()), set(content["arms"])
    whole = isinstance(pairs, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and len(arms & set(pair)) == 2 for pair in pairs
    )
    if not whole or len(set(map(frozenset, pairs))) < len(pairs):
        raise UsageError(
            f"study {path} has planned={pairs!r}; wanted different pairs of its arms, such as [('one', 'another')]"
        )
    return tuple((first, second) for first, second in pairs)


def _arm(path: Path, name: str, value: Any) -> Arm:
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"study {path} has an arm {name!r}; wanted a name of letters, digits, '-', '_' and '.'")
    if isinstance(value, dict) and set(value) == {"checkpoint"} and isinstance(value["checkpoint"], str):
        given = value["checkpoint"]
        return Arm(name, checkpoint=given if "://" in given else str(path.parent / given))
    if isinstance(value, dict) and "config" not in value:
        raise UsageError(
            f"study {path}: arm {name} should be the config of a pretraining, dict(config=FILE, cfg_options=dict(...)) "
            "or dict(checkpoint=...) with a file, 'torchvision://resnet50' or 'timm://resnet50.a1_in1k', "
            f"got {value!r}."
        )
    return Arm(name, pretraining=_run_config(path, name, value))


def _run_config(path: Path, name: str, value: Any) -> RunConfig:
    if isinstance(value, str):
        return RunConfig(path.parent / value)
    settings = value.get("cfg_options", {}) if isinstance(value, dict) else None
    if (
        not isinstance(settings, dict)
        or set(value) - {"cfg_options"} != {"config"}
        or not isinstance(value["config"], str)
    ):
        raise UsageError(
            f"study {path}: {name} should be the path of a config or dict(config=FILE, cfg_options=dict(...)), "
            f"got {value!r}."
        )
    config = RunConfig(path.parent / value["config"], _flatten(settings))
    for option, (key, setting) in zip(config.arguments(), config.cfg_options.items()):
        if _parse_option(option) != repr({key: setting}):
            raise UsageError(
                f"study {path}: cfg_options of {name} should hold numbers, strings without spaces and commas, "
                f"booleans, None, or lists and tuples of these, got {key}={setting!r}. Put it into a config file."
            )
    if config.path.is_file():
        try:
            config.read()
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # as mmengine's merge raises them
            raise UsageError(
                f"study {path}: cfg_options of {name} cannot be merged into {config.path}: {error}"
            ) from error
    return config


def _flatten(settings: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _format_value(value: Any) -> str:
    """A value as ``--cfg-options`` reads it."""
    if isinstance(value, tuple):
        return f"({''.join(f'{_format_value(item)},' for item in value)})"
    return f"[{','.join(map(_format_value, value))}]" if isinstance(value, list) else str(value)


def _parse_option(option: str) -> str:
    """What a command line makes of ``KEY=VALUE``."""
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    try:
        return repr(parser.parse_args(["--cfg-options", option]).cfg_options)
    except AssertionError:  # a bracket without its counterpart
        return ""


def _check(path: Path, study: Study) -> None:
    if study.sheet is not None and (study.sheet not in study.arms or study.arms[study.sheet].pretraining is None):
        raise UsageError(f"study {path} has sheet={study.sheet!r}; wanted one of its arms that pretrain")
    if not study.detectors and any(arm.pretraining is None for arm in study.arms.values()):
        raise UsageError(f"study {path} has arms without pretraining and no detectors; wanted detectors=dict(...)")
    unknown = sorted(set(study.cluster) - set(CLUSTER_KEYS))
    if unknown:
        raise UsageError(f"study {path} has cluster={', '.join(unknown)}; wanted of {', '.join(CLUSTER_KEYS)} alone")
    configs = [arm.pretraining for arm in study.arms.values() if arm.pretraining] + list(study.detectors.values())
    checkpoints = [arm.checkpoint for arm in study.arms.values() if arm.checkpoint and "://" not in arm.checkpoint]
    for needed in (*(config.path for config in configs), *map(Path, checkpoints)):
        if not needed.is_file():
            raise UsageError(f"study {path} names {needed}, which is not there; wanted a path beside the study")
    for detector in study.detectors.values():
        hooks = [hook.get("type") for hook in detector.read().get("custom_hooks", ())]
        if "LoadProofHook" not in hooks:
            raise UsageError(
                f"{detector.path} has no LoadProofHook, so nothing would show that a backbone was loaded; "
                "wanted custom_hooks=[dict(type='LoadProofHook')] in it"
            )
