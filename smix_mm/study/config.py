"""What a study compares: arms, detectors and seeds, read from a plain config."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from ..utils.config import read_config
from ..utils.errors import UsageError

CLUSTER_KEYS = ("partition", "minutes", "cpus", "gpus", "memory_gb", "setup")


@dataclass(frozen=True)
class Arm:
    """One way to come by a backbone: a pretraining, or a checkpoint that is there.

    Attributes:
        name: as in the report.
        pretraining: config of the pretraining, or None.
        checkpoint: a file, ``torchvision://NAME`` or ``timm://NAME``, or None.
    """

    name: str
    pretraining: Path | None = None
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
    detectors: Mapping[str, Path]
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
    """Read a study's config; paths in it are relative to its folder.

    Raises:
        UsageError: the file, or something in it, is missing or unknown.
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
        detectors={name: path.parent / file for name, file in content.get("detectors", {}).items()},
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
    if isinstance(value, str):
        return Arm(name, pretraining=path.parent / value)
    if isinstance(value, dict) and set(value) == {"checkpoint"} and isinstance(value["checkpoint"], str):
        given = value["checkpoint"]
        return Arm(name, checkpoint=given if "://" in given else str(path.parent / given))
    raise UsageError(
        f"study {path} has the arm {name}={value!r}; wanted the config of a pretraining, or dict(checkpoint=FILE), "
        "dict(checkpoint='torchvision://resnet50'), dict(checkpoint='timm://resnet50.a1_in1k')"
    )


def _check(path: Path, study: Study) -> None:
    if study.sheet is not None and (study.sheet not in study.arms or study.arms[study.sheet].pretraining is None):
        raise UsageError(f"study {path} has sheet={study.sheet!r}; wanted one of its arms that pretrain")
    if not study.detectors and any(arm.pretraining is None for arm in study.arms.values()):
        raise UsageError(f"study {path} has arms without pretraining and no detectors; wanted detectors=dict(...)")
    unknown = sorted(set(study.cluster) - set(CLUSTER_KEYS))
    if unknown:
        raise UsageError(f"study {path} has cluster={', '.join(unknown)}; wanted of {', '.join(CLUSTER_KEYS)} alone")
    files = [arm.pretraining or arm.checkpoint or "" for arm in study.arms.values()]
    for needed in (*files, *study.detectors.values()):
        if "://" not in str(needed) and not Path(needed).is_file():
            raise UsageError(f"study {path} names {needed}, which is not there; wanted a path beside the study")
    for detector in study.detectors.values():
        hooks = [hook.get("type") for hook in read_config(detector).get("custom_hooks", ())]
        if "LoadProofHook" not in hooks:
            raise UsageError(
                f"{detector} has no LoadProofHook, so nothing would show that a backbone was loaded; "
                "wanted custom_hooks=[dict(type='LoadProofHook')] in it"
            )
