"""The runs of a study: which there are, what each needs, and how far it is."""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Iterable, Mapping

from .config import Study
from .steps import damaged_outputs, read_marker

RESULT = "result.json"
PRETRAINING = "pretraining"
GIVEN = "given"
FAILURE = "failure.json"
LOCK = ".lock"


@dataclass(frozen=True)
class Run:
    """A pretraining with the publishing of its backbone, or a fine-tuning with its test.

    Attributes:
        name: its folder under that of the study, such as ``cutmix/seed0/bccd/seed1``.
        arm: which arm it belongs to.
        pretraining_seed: None for an arm that is a checkpoint.
        detector: None for a pretraining.
        finetuning_seed: None for a pretraining.
        needs: the name of the run whose backbone it starts from, or None.
    """

    name: str
    arm: str
    pretraining_seed: int | None
    detector: str | None = None
    finetuning_seed: int | None = None
    needs: str | None = None

    @property
    def kind(self) -> str:
        """What runs of about the same length have in common."""
        return self.detector or PRETRAINING


def plan_study(study: Study) -> list[Run]:
    """All runs in the order in which they are done.

    Seeds come before arms, so that a study which ends early has compared its arms over the seeds
    that it did.
    """
    runs = []
    for place, seed in enumerate(study.pretraining_seeds):
        for arm in study.arms.values():
            if arm.pretraining is None and place:
                continue
            mine = None if arm.pretraining is None else seed
            folder = f"{arm.name}/{GIVEN if mine is None else f'seed{mine}'}"
            source = Run(f"{folder}/{PRETRAINING}", arm.name, mine)
            runs.append(source)
            for detector in study.detectors:
                for tuning in study.finetuning_seeds:
                    name = f"{folder}/{detector}/seed{tuning}"
                    runs.append(Run(name, arm.name, mine, detector, tuning, source.name))
    return runs


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        run: the run.
        state: ``'finished'``, ``'running'``, ``'failed'``, ``'interrupted'``, ``'damaged'`` (a
            result file is missing or was changed) or ``'waiting'``.
        seconds: how long it took, where it is finished.
        lines: the last lines of the log, where it failed; what is damaged, where something is.
    """

    run: Run
    state: str
    seconds: float | None = None
    lines: tuple[str, ...] = ()


def look_at(run: Run, folder: Path, content: bool = False) -> RunState:
    """How far a run of the study in ``folder`` is, from its files.

    Args:
        run: which.
        folder: of the study.
        content: compare the content of a finished run's files too, not their presence alone.
    """
    place = folder / run.name
    marker = read_marker(place)
    if marker is not None and marker["outputs"]:
        if content:
            damaged = damaged_outputs(place, marker)
        else:
            damaged = [name for name in marker["outputs"] if not (place / name).is_file()]
        if damaged:
            return RunState(run, "damaged", lines=(f"{', '.join(damaged)} is missing or was changed",))
        return RunState(run, "finished", marker.get("seconds"))
    if is_locked(place.parent / f"{place.name}{LOCK}"):
        return RunState(run, "running")
    failure = read_failure(place)
    if failure is not None:
        return RunState(run, "failed", lines=failure)
    return RunState(run, "waiting" if marker is None else "interrupted")


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock; it goes with the process, however that ends."""
    if not path.is_file():
        return False
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_failure(place: Path) -> tuple[str, ...] | None:
    """The lines that a failed run left, or None."""
    try:
        lines: list[str] = json.loads((place / FAILURE).read_text(encoding="utf-8"))["lines"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tuple(lines)


def time_left(states: Iterable[RunState], known: Mapping[str, float], workers: int) -> float | None:
    """Estimated seconds until all is done, or None where a kind of run has not been timed yet.

    Args:
        states: of all runs.
        known: seconds of a run by its kind, for kinds of which none is finished.
        workers: how many runs go on at a time.
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
        return "not known before one run of each kind is finished"
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def summary(study: Study, runs: list[Run], config: str | Path) -> dict[str, Any]:
    """What ``study.json`` says, for the report, which may be shown to anyone: of a whole path the name alone."""
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
