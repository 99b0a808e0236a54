"""The runs of a study, the state of each, and the time that is left."""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Iterable, Mapping

from .config import Study
from .run import FAILURE, Run
from .steps import MARKER, damaged_outputs, read_marker


def plan_study(study: Study) -> list[Run]:
    """All runs, in the order in which they are executed.

    Seeds come before arms, so that a study that ends early has compared all arms over the seeds
    that it finished.
    """
    runs = []
    for index, seed in enumerate(study.pretraining_seeds):
        for arm in study.arms.values():
            if arm.pretraining is None and index:
                continue  # a checkpoint is exported once
            pretraining = Run(arm.name, None if arm.pretraining is None else seed)
            runs.append(pretraining)
            for detector in study.detectors:
                for finetuning_seed in study.finetuning_seeds:
                    runs.append(Run(arm.name, pretraining.pretraining_seed, detector, finetuning_seed))
    return runs


def find_runs(folder: Path) -> list[Run]:
    """All runs that were started in a study's folder, also those that the study no longer names; ordered by name."""
    runs = []
    for marker in sorted(folder.rglob(MARKER)):
        with suppress(ValueError):  # a step inside a run
            runs.append(Run.parse(marker.parent.relative_to(folder).as_posix()))
    return runs


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        run: the run.
        state: ``'finished'``, ``'running'``, ``'failed'``, ``'interrupted'``, ``'damaged'`` (a
            result file is missing or has changed) or ``'waiting'``.
        seconds: duration of a finished run, or None.
        lines: of a failed run the last lines of its log, of a damaged one a sentence that names the files.
    """

    run: Run
    state: str
    seconds: float | None = None
    lines: tuple[str, ...] = ()


def run_state(run: Run, folder: Path, check_content: bool = False) -> RunState:
    """The state of a run, from its files.

    Args:
        run: the run.
        folder: of the study.
        check_content: compare the hashes of a finished run's files as well; otherwise only their existence.
    """
    run_folder = folder / run.name
    marker = read_marker(run_folder)
    if marker is not None and marker["outputs"]:
        if check_content:
            damaged = damaged_outputs(run_folder, marker)
        else:
            damaged = [name for name in marker["outputs"] if not (run_folder / name).is_file()]
        if damaged:
            return RunState(run, "damaged", lines=(f"{', '.join(damaged)} is missing or was changed",))
        return RunState(run, "finished", marker.get("seconds"))
    if _is_locked(lock_path(run, folder)):
        return RunState(run, "running")
    failure = read_failure(run, folder)
    if failure is not None:
        return RunState(run, "failed", lines=failure)
    return RunState(run, "waiting" if marker is None else "interrupted")


def lock_path(run: Run, folder: Path) -> Path:
    """The file that a process locks while it executes a run; the lock ends with the process."""
    return folder / f"{run.name}.lock"


def _is_locked(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_failure(run: Run, folder: Path) -> tuple[str, ...] | None:
    """The last lines of the log of a failed run, or None."""
    try:
        lines: list[str] = json.loads((folder / run.name / FAILURE).read_text(encoding="utf-8"))["lines"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tuple(lines)


def time_left(states: Iterable[RunState], known: Mapping[str, float], workers: int) -> float | None:
    """Estimated seconds until all runs are finished, or None if the duration of some kind of run is unknown.

    Args:
        states: of all runs.
        known: seconds of a run by its kind, for kinds without a finished run.
        workers: number of runs at a time.
    """
    states = list(states)
    seconds = dict(known)
    for kind in {state.run.kind for state in states}:
        timed = [state.seconds for state in states if state.run.kind == kind and state.seconds is not None]
        if timed:
            seconds[kind] = mean(timed)
    left = [state.run.kind for state in states if state.state != "finished"]
    if any(kind not in seconds for kind in left):
        return None
    return sum(seconds[kind] for kind in left) / max(workers, 1)


def describe_time(seconds: float | None) -> str:
    """Such as ``'2 h 05 min'``."""
    if seconds is None:
        return "unknown until one run of each kind is finished"
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def study_json(study: Study, runs: list[Run], config: str | Path) -> dict[str, Any]:
    """The content of ``study.json``; of an absolute config path only the name, since a report may be published."""
    return dict(
        name=study.name,
        config=str(config) if not Path(config).is_absolute() else Path(config).name,
        arms=list(study.arms),
        detectors=list(study.detectors),
        pretraining_seeds=list(study.pretraining_seeds),
        finetuning_seeds=list(study.finetuning_seeds),
        metric=study.metric,
        planned=[list(pair) for pair in study.planned],
        paper=dict(study.paper),
        runs=[run.name for run in runs],
    )
