"""The runs of a study: names, order, the files and the record in the folder of each, and what state these show."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Sequence

from ..utils.errors import DataError
from ..utils.files import file_hash, write_json
from ..utils.imported_code import changed_code, read_imports
from ..utils.lock import is_held
from ..utils.text import first_few

if TYPE_CHECKING:
    from .config import Study

STUDY = "study.json"
"""In the study's folder: what is compared, and the names of all runs."""

LOCK = ".lock"
"""In the study's folder: held by the process that runs the study."""

MARKER = "step.json"
LOG = "run.log"
CODE = "code.txt"
RESULT = "result.json"
BACKBONE = "backbone.pth"
DETECTIONS = "detections.npz"
CURVE = "curve.json"
PROVENANCE = "provenance.json"
FAILURE = "failure.json"

STALE = ".stale-"
"""In the name of a folder that was set aside; such a folder is no run."""

SHEET = "mixed.png"
PRETRAINING = "pretraining"
_NAME = re.compile(r"([^/]+)/(?:given|seed(\d+))/(?:pretraining|([^/]+)/seed(\d+))")
_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")  # as atomic_path names them

LineCallback = Callable[[str], object]


@dataclass(frozen=True)
class Run:
    """A pretraining with the export of its backbone, or a fine-tuning with its test.

    Attributes:
        arm: name of the arm.
        pretraining_seed: None for an arm that is a checkpoint.
        detector: name of the detector, or None for a pretraining.
        finetuning_seed: None for a pretraining.
    """

    arm: str
    pretraining_seed: int | None
    detector: str | None = None
    finetuning_seed: int | None = None

    @property
    def name(self) -> str:
        """Its folder in that of the study: ``ARM/seed0/pretraining`` or ``ARM/seed0/DETECTOR/seed1``.

        An arm that is a checkpoint has ``given`` in place of the pretraining's seed.
        """
        run = PRETRAINING if self.detector is None else f"{self.detector}/seed{self.finetuning_seed}"
        return f"{self.arm}/{'given' if self.pretraining_seed is None else f'seed{self.pretraining_seed}'}/{run}"

    @property
    def kind(self) -> str:
        """The detector's name, or ``'pretraining'``; runs of one kind take about the same time."""
        return self.detector or PRETRAINING

    @property
    def needs(self) -> Run | None:
        """The run whose backbone it starts from, or None."""
        return None if self.detector is None else Run(self.arm, self.pretraining_seed)

    def lock(self, folder: Path) -> Path:
        """The file of its lock, given the folder of the study."""
        return folder / f"{self.name}.lock"

    @staticmethod
    def parse(name: str) -> Run:
        """The run of a name.

        Raises:
            ValueError: it is not the name of a run.
        """
        found = _NAME.fullmatch(name)
        if found is None or STALE in name:
            raise ValueError(
                f"the name of a run should be ARM/seed0/pretraining or ARM/seed0/DETECTOR/seed1, got {name!r}."
            )
        arm, outer, detector, inner = found.groups()
        return Run(arm, None if outer is None else int(outer), detector, None if inner is None else int(inner))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; a DataError names a file that is missing or none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise DataError(f"{path} should be a JSON file: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} should contain a JSON object, got {type(content).__name__}.")
    return content


def read_marker(folder: Path) -> dict[str, Any] | None:
    """The record: ``inputs``, ``outputs`` (empty until it is finished) and, if finished, ``code`` and ``seconds``."""
    with suppress(DataError):
        marker = read_json(folder / MARKER)
        if all(isinstance(marker.get(key), dict) for key in ("inputs", "outputs")):
            return marker
    return None


def damaged_outputs(folder: Path, marker: Mapping[str, Any], check_content: bool = True) -> str | None:
    """A sentence on outputs that are missing or, if checked, whose content has changed since the run finished."""
    damaged = [
        name
        for name, digest in marker["outputs"].items()
        if not (folder / name).is_file() or (check_content and file_hash(folder / name) != digest)
    ]
    return f"{', '.join(damaged)} is missing or was changed" if damaged else None


def why_stale(folder: Path, inputs: Mapping[str, str]) -> str | None:
    """Why a run that was started before has to start again with inputs that have these hashes, or None."""
    marker = read_marker(folder)
    if marker is None:
        kept = [path for path in folder.iterdir() if path.name not in (LOG, FAILURE)] if folder.is_dir() else []
        return None if all(map(is_temporary, kept)) else f"its {MARKER} is missing or damaged"
    changed = changed_inputs(marker, inputs)
    files = changed_code(marker.get("code") or read_imports(folder / CODE))
    if files:
        changed.append(f"the package's {first_few(files, 3)}")
    return f"of a change in: {', '.join(changed)}" if changed else damaged_outputs(folder, marker)


def changed_inputs(marker: Mapping[str, Any], inputs: Mapping[str, str]) -> list[str]:
    """Names of inputs whose hashes differ from those of the record."""
    before = marker["inputs"]
    return sorted(name for name in {*inputs, *before} if inputs.get(name) != before.get(name))


def begin(folder: Path, name: str, inputs: Mapping[str, str], log: LineCallback) -> bool:
    """Prepare the folder of a run, setting a stale one aside, with messages to ``log``; False if it is finished."""
    marker, stale = read_marker(folder), why_stale(folder, inputs)
    if stale is not None:
        log(f"{name}: done again, because {stale}; its files are kept in {set_aside(folder, stale).name}")
        marker = None
    elif marker is not None and marker["outputs"]:
        log(f"{name}: finished before")
        return False
    clear_temporaries(folder)
    if marker is None:
        write_json(folder / MARKER, dict(inputs=inputs, outputs={}))
    return True


def finish(folder: Path, inputs: Mapping[str, str], outputs: Mapping[str, str], seconds: float) -> None:
    """Record that a run is finished."""
    code = read_imports(folder / CODE)
    write_json(folder / MARKER, dict(inputs=inputs, outputs=outputs, code=code, seconds=round(seconds, 1)))
    (folder / CODE).unlink(missing_ok=True)
    clear_temporaries(folder)


def set_aside(folder: Path, reason: str) -> Path:
    """Rename a folder to ``NAME.stale-DATE-NUMBER`` and record the reason in it; its new path."""
    number = 1
    while (target := folder.with_name(f"{folder.name}{STALE}{time.strftime('%Y-%m-%d')}-{number}")).exists():
        number += 1
    write_json(folder / MARKER, {**(read_marker(folder) or {}), "stale": reason})
    folder.rename(target)
    return target


def find_set_aside(study: Path) -> dict[Path, str]:
    """The folders that were set aside in a study, with the reasons."""
    markers = {path.parent: read_json(path) for path in sorted(study.rglob(f"*{STALE}*/{MARKER}"))}
    return {folder: str(marker["stale"]) for folder, marker in markers.items() if "stale" in marker}


def is_temporary(path: Path) -> bool:
    """Whether a file has a temporary name of :func:`~smix_mm.utils.files.atomic_path`."""
    return _TEMPORARY.fullmatch(path.name) is not None and path.is_file()


def clear_temporaries(folder: Path, pattern: str = "**/.*") -> None:
    """Remove the temporary files that killed processes left; none may work in the folder."""
    for path in filter(is_temporary, list(folder.glob(pattern))):
        path.unlink(missing_ok=True)


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

    It is ``'finished'``, ``'running'``, ``'failed'``, ``'interrupted'``, ``'damaged'`` (a result file is missing or has
    changed), ``'waiting'``, or ``'blocked by RUN'``, a failed run that it needs.
    """

    run: Run
    state: str
    seconds: float | None = None  # duration of a finished run
    lines: tuple[str, ...] = ()  # the last lines of the log of a failed run, or a sentence on damaged files


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
