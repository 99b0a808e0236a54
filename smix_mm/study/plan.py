"""The runs of a study, the state of each, and the time that is left."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Iterable, Mapping, Sequence

from .config import Study
from .lock import is_held
from .run import FAILURE, MARKER, Run, damaged_outputs, read_json, read_marker


def plan_study(study: Study) -> list[Run]:
    """All runs in their order: seeds before arms, so that a study that ends early has compared all arms."""
    runs = []
    for index, seed in enumerate(study.pretraining_seeds):
        for arm, source in study.arms.items():
            if isinstance(source, str) and index:
                continue  # a checkpoint is exported once
            outer = None if isinstance(source, str) else seed
            runs.append(Run(arm, outer))
            runs += [Run(arm, outer, name, inner) for name in study.detectors for inner in study.finetuning_seeds]
    return runs


def find_runs(folder: Path) -> list[Run]:
    """All runs that were started in a study's folder, also those that the study no longer names; ordered by name."""
    runs = []
    for marker in sorted(folder.rglob(MARKER)):
        with suppress(ValueError):
            runs.append(Run.parse(marker.parent.relative_to(folder).as_posix()))
    return runs


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        state: ``'finished'``, ``'running'``, ``'failed'``, ``'interrupted'``, ``'damaged'`` (a
            result file is missing or has changed), ``'waiting'``, or ``'blocked by RUN'``, a failed run that it needs.
        seconds: duration of a finished run, or None.
        lines: of a failed run the last lines of its log, of a damaged one a sentence that names the files.
    """

    run: Run
    state: str
    seconds: float | None = None
    lines: tuple[str, ...] = ()


def run_state(run: Run, folder: Path, check_content: bool = False) -> RunState:
    """The state of a run, from its files in a study's folder; of result files the existence or the content."""
    marker = read_marker(folder / run.name)
    if marker is not None and marker["outputs"]:
        damaged = damaged_outputs(folder / run.name, marker, check_content)
        if damaged:
            return RunState(run, "damaged", lines=(damaged,))
        return RunState(run, "finished", marker.get("seconds"))
    if is_held(run.lock(folder)):
        return RunState(run, "running")
    if run.needs is not None and run_state(run.needs, folder).state == "failed":
        return RunState(run, f"blocked by {run.needs.name}")
    with suppress(OSError, ValueError, KeyError, TypeError):
        return RunState(run, "failed", lines=tuple(read_json(folder / run.name / FAILURE)["lines"]))
    return RunState(run, "waiting" if marker is None else "interrupted")


def time_left(states: Iterable[RunState], known: Mapping[str, float], workers: int) -> str:
    """The estimated time until all runs are finished, in words, such as ``'2 h 05 min'``.

    ``known`` has the seconds of a run by its kind, for kinds without a finished run; ``workers`` work at a time.
    """
    timed: dict[str, list[float]] = {}
    left = []
    for state in states:
        if state.seconds is not None:
            timed.setdefault(state.run.kind, []).append(state.seconds)
        if state.state != "finished":
            left.append(state.run.kind)
    seconds = {**known, **{kind: mean(values) for kind, values in timed.items()}}
    if not {*left} <= {*seconds}:
        return "unknown until one run of each kind is finished"
    minutes = round(sum(seconds[kind] for kind in left) / max(workers, 1) / 60)
    if minutes < 1:
        return "under a minute"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def seconds_needed(run: Run, states: Sequence[RunState]) -> float:
    """The longest that such a run took, of its arm if one is finished, else of any; 0 if none is.

    For a pretraining its fine-tunings count too, without which it is not exported.
    """
    total = 0.0
    for kind in [run.kind, *(state.run.kind for state in states if state.run.needs == run)]:
        known = [(state.run.arm, state.seconds or 0.0) for state in states if state.run.kind == kind and state.seconds]
        mine = [seconds for arm, seconds in known if arm == run.arm]
        total += max(mine or [seconds for _, seconds in known], default=0.0)
    return total
