"""The result files of a study, read and looked through."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from ...utils.errors import DataError
from ...utils.files import file_hash

STUDY = "study.json"
RESULT = "result.json"
DETECTIONS = "detections.npz"
CURVE = "curve.json"
PROVENANCE = "provenance.json"
PRETRAINING = "pretraining"
GIVEN = "given"


@dataclass(frozen=True)
class Run:
    """One result.

    Attributes:
        name: its folder inside the study's, ``ARM/seed0/DETECTOR/seed1`` or ``ARM/seed0/pretraining``.
        arm: which arm it belongs to.
        detector: the detector's name, or ``'pretraining'``.
        pretraining_seed: None where the arm is a given checkpoint.
        finetuning_seed: None for a pretraining.
        backbone_hash: of the backbone that a detector started from, else None.
        metrics: its figures.
    """

    name: str
    arm: str
    detector: str
    pretraining_seed: int | None
    finetuning_seed: int | None
    backbone_hash: str | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Results:
    """What a study's folder holds.

    Attributes:
        folder: of the study.
        name: the study's title.
        arms: their names; the first is the reference.
        detectors: what is compared, by name; ``('pretraining',)`` for a study without detectors.
        metric: the figure compared.
        planned: the pairs of arms that the study was made for.
        paper: figures of a paper by arm, in the metric's units.
        runs: every usable result, pretrainings too, in the study's order.
        missing: names of runs without a result.
        problems: a sentence for each file that is damaged or does not belong here.
        config: the study's config, as it was named when it was run, or None where that is not known.
        software: a line each: commit, Python, releases and machines of the runs, where they say so.
    """

    folder: Path
    name: str
    arms: tuple[str, ...]
    detectors: tuple[str, ...]
    metric: str
    planned: tuple[frozenset[str], ...]
    paper: Mapping[str, float]
    runs: tuple[Run, ...]
    missing: tuple[str, ...]
    problems: tuple[str, ...]
    config: str | None = None
    software: tuple[str, ...] = ()


def read_results(folder: str | Path) -> Results:
    """Read the results that ``study.json`` names; what cannot be used is named, never left out in silence.

    Raises:
        DataError: there is no ``study.json``, or it is damaged.
    """
    folder = Path(folder)
    study = _read_study(folder)
    detectors = tuple(study["detectors"]) or (PRETRAINING,)
    runs, missing, problems = [], [], []
    for name in study["runs"]:
        if not (folder / name / RESULT).is_file():
            missing.append(name)
            continue
        try:
            run = read_run(folder, name)
            if run.detector in detectors and study["metric"] not in run.metrics:
                raise ValueError(f"it has no {study['metric']}")
        except (OSError, ValueError) as error:
            problems.append(f"{name}/{RESULT} cannot be used: {error}")
        else:
            runs.append(run)
    named = {folder / name / RESULT for name in study["runs"]}
    problems += [
        f"{path.relative_to(folder)} is left out: {STUDY} does not name this run"
        for path in sorted(folder.rglob(RESULT))
        if path not in named
    ]
    return Results(
        folder=folder,
        name=study["name"],
        arms=tuple(study["arms"]),
        detectors=detectors,
        metric=study["metric"],
        planned=tuple(map(frozenset, study.get("planned", []))),
        paper=study.get("paper", {}),
        runs=tuple(runs),
        config=study.get("config"),
        software=_read_software(folder, runs),
        missing=tuple(missing),
        problems=tuple(problems),
    )


def read_run(folder: Path, name: str) -> Run:
    """Read one result.

    Raises:
        ValueError: it is no JSON, says something else than its place, holds what is no number, or
            the predictions beside it are not those that it was computed from.
    """
    content = json.loads((folder / name / RESULT).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("metrics"), dict):
        raise ValueError("it has no metrics")
    place = _place(name)
    for key, value in place.items():
        if content.get(key) != value:
            raise ValueError(f"it says {key}={content.get(key)!r}, and its place says {value!r}")
    for metric, value in content["metrics"].items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{metric} is {value!r}, wanted a finite number")
    detections = folder / name / DETECTIONS
    if "detections" in content and detections.is_file() and file_hash(detections) != content["detections"]:
        raise ValueError(f"{DETECTIONS} is not the file that it was computed from")
    backbone = content.get("backbone_hash")
    return Run(name, **{**dict(detector=PRETRAINING, finetuning_seed=None), **place}, backbone_hash=backbone,
               metrics=content["metrics"])  # fmt: skip


def read_curve(folder: Path, run: Run) -> list[tuple[float, float]] | None:
    """The ``(step, loss)`` of a training, or None where no curve was kept.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / run.name / CURVE
    if not path.is_file():
        return None
    try:
        points = [(float(entry["step"]), float(entry["loss"])) for entry in json.loads(path.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run.name}/{CURVE} cannot be used: {type(error).__name__}: {error}") from error
    return points or None


def _read_study(folder: Path) -> dict[str, Any]:
    path = folder / STUDY
    if not path.is_file():
        raise DataError(f"{folder} holds no {STUDY}; wanted the work dir of a study that was run")
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
        wanted = dict(name=str, metric=str, arms=list, detectors=list, runs=list)
        wrong = [key for key, kind in wanted.items() if not isinstance(study.get(key), kind)]
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path} is no JSON of a study ({error}); run the study again to write it anew") from error
    if wrong:
        raise DataError(f"{path} lacks {', '.join(wrong)}; run the study again to write it anew")
    return study


def _read_software(folder: Path, runs: Sequence[Run]) -> tuple[str, ...]:
    """What the runs' provenance says, each line once; runs may have been done by several machines."""
    said: dict[str, None] = {}
    for run in runs:
        path = folder / run.name / PROVENANCE
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            releases = ", ".join(f"{name} {release}" for name, release in content["packages"].items())
            lines = [f"Python {content['python']}, {content['machine']}", releases]
            if content["commit"] is not None:
                lines.insert(0, f"commit `{content['commit']}`")
            said |= dict.fromkeys(lines)
    return tuple(said)


def _place(name: str) -> dict[str, Any]:
    """What a run's folder says about it."""
    arm, source, detector, *tuning = name.split("/")
    place: dict[str, Any] = dict(arm=arm, pretraining_seed=None if source == GIVEN else int(source[len("seed") :]))
    if tuning:
        place.update(detector=detector, finetuning_seed=int(tuning[0][len("seed") :]))
    return place
