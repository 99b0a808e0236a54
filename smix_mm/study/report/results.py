"""Reading and checking the result files of a study."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Sequence

import numpy as np

from ...evaluation import Detections, read_detections
from ...evaluation.average_precision import DEFINITIONS, resample
from ...utils.errors import DataError
from ...utils.files import file_hash
from ..run import CURVE, DETECTIONS, PRETRAINING, PROVENANCE, RESULT, STALE, STUDY, Run, read_json
from ..statistics import draw_images

# On another machine sums may differ in their last bits.
_TOLERANCE = 1e-9
_TEST_SET = ("classes", "images", "true_boxes", "true_labels", "true_image_of", "difficult")


@dataclass(frozen=True)
class Result(Run):
    """A run with its figures by name, and the hash of the backbone that a detector started from."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    backbone_hash: str | None = None


@dataclass(frozen=True)
class Results:
    """The results of a study."""

    folder: Path
    name: str  # title of the study
    arms: tuple[str, ...]  # the first is the reference
    detectors: tuple[str, ...]  # ('pretraining',) for a study without detectors
    metric: str  # name of the compared figure
    planned: tuple[frozenset[str], ...]  # the pairs of arms that the study is meant to tell apart
    paper: Mapping[str, float]  # figures of a paper by arm, in the metric's units
    runs: tuple[Result, ...]  # every usable result, those of pretrainings too, in the study's order
    missing: tuple[str, ...]  # names of runs without a result
    problems: tuple[str, ...]  # a sentence for each file that is damaged or does not belong to the study
    config: str | None = None  # path of the study's config as given when it was run
    software: tuple[str, ...] = ()  # lines with the commit, Python, releases and machines of the runs, if recorded


def read_results(folder: str | Path) -> Results:
    """Read the results that ``study.json`` names; unusable ones are listed in ``problems``.

    Raises:
        DataError: ``study.json`` is missing or damaged.
    """
    folder = Path(folder)
    if not (folder / STUDY).is_file():
        raise DataError(f"{folder} contains no {STUDY}. It should be the work dir of a study that was run.")
    study = {"paper": {}, **read_json(folder / STUDY)}
    expected = dict(name=str, metric=str, arms=list, detectors=list, runs=list, paper=dict)
    wrong = [
        key
        for key, kind in expected.items()
        if not isinstance(study.get(key), kind)
        or (kind is list and not all(isinstance(one, str) for one in study[key]))
    ]
    if wrong:
        raise DataError(f"{folder / STUDY} has no valid {', '.join(wrong)}. Run the study again to write it.")
    detectors = tuple(study["detectors"]) or (PRETRAINING,)
    runs, problems = [], []
    missing = [name for name in study["runs"] if not (folder / name / RESULT).is_file()]
    for name in study["runs"]:
        try:
            run = None if name in missing else read_result(folder, name)
            if run and run.kind in detectors and study["metric"] not in run.metrics:
                raise ValueError(f"it has no {study['metric']}")
        except (OSError, ValueError) as error:
            problems.append(f"{name}/{RESULT} cannot be used: {error}")
        else:
            runs += [run] if run else []
    found = {path.relative_to(folder).as_posix() for path in folder.rglob(RESULT)}
    for path in sorted(found - {f"{name}/{RESULT}" for name in study["runs"]}):
        if STALE not in path:
            problems.append(f"{path} is left out: {STUDY} does not name this run")
    software = _read_software(folder, runs, problems)
    return Results(
        folder=folder,
        name=study["name"],
        arms=tuple(study["arms"]),
        detectors=detectors,
        metric=study["metric"],
        planned=tuple(map(frozenset, study.get("planned", []))),
        paper=study["paper"],
        runs=tuple(runs),
        missing=tuple(missing),
        problems=tuple(problems),
        config=study.get("config"),
        software=software,
    )


def read_result(folder: Path, name: str) -> Result:
    """Read the result of a run; a ValueError if it is not a valid one of that run."""
    content = json.loads((folder / name / RESULT).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("metrics"), dict):
        raise ValueError("it has no metrics")
    run = asdict(Run.parse(name))
    for key, value in run.items():
        if content.get(key) != value:
            raise ValueError(f"its {key} is {content.get(key)!r}, but by the name of its folder {value!r}")
    for metric, value in content["metrics"].items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{metric} should be a finite number, got {value!r}")
    detections = folder / name / DETECTIONS
    if "detections" in content and detections.is_file() and file_hash(detections) != content["detections"]:
        raise ValueError(f"{DETECTIONS} is not the file that it was computed from")
    return Result(**run, metrics=content["metrics"], backbone_hash=content.get("backbone_hash"))


def read_curve(folder: Path, run: Run) -> np.ndarray:
    """The step and loss of a training, float64 (N, 2), empty if no curve was saved.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / run.name / CURVE
    try:
        points = json.loads(path.read_text("utf-8")) if path.is_file() else []
        return np.array([(float(entry["step"]), float(entry["loss"])) for entry in points])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run.name}/{CURVE} cannot be used: {type(error).__name__}: {error}") from error


class Resampled(NamedTuple):
    """The figures of a run, float64 (samples,), and how many boxes it predicted."""

    figures: np.ndarray
    detections: int


def resample_runs(
    folder: Path, runs: Sequence[Result], metric: str, samples: int, log: Callable[[str], None]
) -> tuple[dict[str, Resampled], list[str]]:
    """The figures of one detector's runs on bootstrap samples of their test set, the same samples for all of them.

    Returns:
        by the run's name, for the runs with intact predictions; and a sentence for each problem.
    """
    if metric not in DEFINITIONS:
        return {}, [f"{metric} cannot be computed from stored predictions, so there is no interval over test images"]
    figures: dict[str, Resampled] = {}
    problems: list[str] = []
    first: tuple[str, Detections] | None = None
    weights = np.empty((0, 0), np.int32)
    for number, run in enumerate(runs, 1):
        log(f"{run.detector}: resampling the test images of run {number} of {len(runs)}")
        try:
            detections = read_detections(folder / run.name / DETECTIONS)
        except DataError as error:
            problems.append(str(error).replace(f"{folder}/", ""))
            continue
        count = len(detections.images)
        if first is None:
            first = run.name, detections
            weights = np.hstack([np.ones((count, 1), np.int32), draw_images(count, samples)])
        elif any(not np.array_equal(getattr(detections, name), getattr(first[1], name)) for name in _TEST_SET):
            problems.append(f"{run.name} was tested on other images or objects than {first[0]}")
            continue
        resampled = resample(detections, metric, weights)
        recorded = run.metrics[metric]
        if not abs(resampled[0] - recorded) <= _TOLERANCE:
            problems.append(f"{run.name}: {metric} is {recorded} in its result, but {resampled[0]} by its predictions")
        if not len(detections.boxes):
            problems.append(f"{run.name}: its detector has no detections in the {count} test images, so its AP is 0")
        figures[run.name] = Resampled(resampled[1:], len(detections.boxes))
    return figures, problems


def _read_software(folder: Path, runs: Sequence[Run], problems: list[str]) -> tuple[str, ...]:
    """Commit, releases and machines in the runs' provenance files, each line once; damaged ones join ``problems``."""
    software: dict[str, None] = {}
    for name in [f"{run.name}/{PROVENANCE}" for run in runs]:
        if not (folder / name).is_file():
            continue
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
            lines = [] if content["commit"] is None else [f"commit `{content['commit']}`"]
            lines.append(f"Python {content['python']}, {content['machine']}")
            lines.append(", ".join(f"{package} {release}" for package, release in content["packages"].items()))
            software |= dict.fromkeys(lines)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problems.append(f"{name} cannot be used: {type(error).__name__}: {error}")
    return tuple(software)
