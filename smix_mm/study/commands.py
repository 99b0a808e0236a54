"""What ``tools/study.py`` does: run, status, report, verify and clean."""

from __future__ import annotations

import fcntl
import os
import pkgutil
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

from ..utils.errors import StepError, UsageError
from ..utils.files import file_hash, write_json
from .config import Study, load_study
from .plan import Run, RunState, describe_time, look_at, plan_study, summary, time_left
from .progress import open_view

if TYPE_CHECKING:
    from .runs import Worker

STUDY = "study.json"
EXECUTORS = ("local", "slurm", "local-jobs")


@dataclass(frozen=True)
class Where:
    """Where the runs of a study are done.

    Attributes:
        executor: ``'local'`` for this machine, ``'slurm'`` for jobs, ``'local-jobs'`` for jobs
            that are processes on this machine.
        gpus: one run at a time on each; a group such as ``'0,1'`` trains one run together. None:
            one run at a time, on what is there.
        processes: processes that train one run together, where no ``gpus`` are named.
    """

    executor: str = "local"
    gpus: tuple[str, ...] = ()
    processes: int = 1


def run_study(config: str | Path, work_dir: str | Path, where: Where = Where(), dry: bool = False) -> list[RunState]:
    """Run all that is not finished yet, and write the report.

    Args:
        config: the study's config.
        work_dir: everything is written here; started again, finished runs are left alone.
        where: on this machine or on a cluster.
        dry: print the plan alone.

    Returns:
        how far every run is.

    Raises:
        UsageError: the config is not as wanted, or another process works in ``work_dir``.
        StepError: runs failed; raised after the others are finished and reported.
    """
    study = load_study(config)
    folder = Path(work_dir).absolute()
    runs = plan_study(study)
    print(describe_plan(study, runs, folder, max(len(where.gpus), 1)), flush=True)
    if dry:
        return [look_at(run, folder) for run in runs]
    # Only what does runs needs torch; a plan and a status come without.
    from .cluster import submit_runs, wait_for_jobs
    from .local import on_gpus, run_locally

    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder, work_dir):
        worker = _prepare(study, folder, where)
        write_json(folder / STUDY, summary(study, runs, config))
        if study.sheet is not None:
            arm = study.arms[study.sheet].pretraining
            assert arm is not None
            from ..datasets.training_batches import training_images
            from ..visualization import draw_mix_sheet
            from .report import SHEET

            images, labels = training_images(arm.path, cfg_options=arm.cfg_options)
            draw_mix_sheet(images, labels, folder / SHEET, seed=study.pretraining_seeds[0])
            print(f"mixed images: {Path(work_dir) / SHEET}", flush=True)
        view = open_view(study.name)
        try:
            if where.executor == "local":
                failures = run_locally(runs, on_gpus(worker, list(where.gpus)) or [worker], view)
            else:
                jobs = submit_runs(runs, worker, None if where.executor == "slurm" else "local")
                failures = wait_for_jobs(jobs, runs, folder, view)
        finally:
            view.close()
        states = [look_at(run, folder) for run in runs]
        if any(state.state == "finished" for state in states):
            report(work_dir)
            if study.next is not None:
                print(study.next, flush=True)
    if failures:
        raise StepError(f"failed: {', '.join(failures)}; fix what their logs in {work_dir} say and start again")
    return states


def describe_plan(study: Study, runs: list[Run], folder: Path, workers: int) -> str:
    """How many runs of each kind there are, how many are finished, and the time left."""
    states = [look_at(run, folder) for run in runs]
    kinds = list(dict.fromkeys(run.kind for run in runs))
    lines = [f"{study.name}: {len(runs)} runs, {', '.join(study.arms)}"]
    for kind in kinds:
        mine = [state for state in states if state.run.kind == kind]
        lines.append(f"  {kind}: {len(mine)}, of which {sum(s.state == 'finished' for s in mine)} finished")
    lines.append(f"  estimated time left: {describe_time(time_left(states, study.seconds, workers))}")
    return "\n".join(lines)


def status(config: str | Path, work_dir: str | Path) -> list[RunState]:
    """Print how far every run is, with the last log lines of those that failed."""
    study, folder = load_study(config), Path(work_dir).absolute()
    runs = plan_study(study)
    print(describe_plan(study, runs, folder, 1))
    states = [look_at(run, folder) for run in runs]
    for state in states:
        seconds = "" if state.seconds is None else f" in {state.seconds:.0f} s"
        print(f"{state.run.name}: {state.state}{seconds}")
        for line in state.lines:
            print(f"    {line}")
    return states


def report(work_dir: str | Path, out: str | Path | None = None) -> None:
    """Write the report of a study from its result files alone, and print its table.

    Raises:
        UsageError: the folder holds no study.
    """
    from ..utils.errors import DataError
    from .report import report_study

    _study_folder(work_dir)
    try:
        text = report_study(work_dir, out, say=_say_aside)
    except DataError as error:
        raise UsageError(str(error)) from error
    print(text, flush=True)


def _say_aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def clean(work_dir: str | Path) -> int:
    """Remove the trainings' own files of finished runs; results, backbones and logs stay.

    Returns:
        bytes that became free.
    """
    folder = _study_folder(work_dir)
    freed = 0
    with _lock(folder, work_dir):
        for marker in sorted(folder.rglob("step.json")):
            place = marker.parent
            if look_at(Run(str(place.relative_to(folder)), "", None), folder, content=True).state != "finished":
                continue
            for inner in ("train", "test"):
                if (place / inner / "step.log").is_file():
                    shutil.move(place / inner / "step.log", place / f"{inner}.log")
                for file in (place / inner).rglob("*"):
                    # A file with a second name, as detections have, frees nothing.
                    freed += file.stat().st_size if file.is_file() and file.stat().st_nlink == 1 else 0
                shutil.rmtree(place / inner, ignore_errors=True)
    print(f"clean: {freed / 2**20:.0f} MiB of finished runs removed from {work_dir}")
    return freed


def _study_folder(work_dir: str | Path) -> Path:
    folder = Path(work_dir).absolute()
    if not (folder / STUDY).is_file():
        raise UsageError(f"{work_dir} holds no {STUDY}; wanted the work dir of a study that was run")
    return folder


@contextmanager
def _lock(folder: Path, named: str | Path) -> Iterator[None]:
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another process runs a study in {named}; wait for it or stop it") from error
        yield


def _prepare(study: Study, folder: Path, where: Where) -> Worker:
    """Make the data of a study that brings its own, and say what every result depends on."""
    from .runs import Worker, package_hash

    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    common: dict[str, Any] = {"the package": package_hash()}
    if study.prepare is not None:
        data = folder / "data"
        print("data: made, or found as it was made", flush=True)
        pkgutil.resolve_name(study.prepare["call"])(data)
        environment[study.prepare["variable"]] = str(data)
        # So that the configs read here see what those of the runs will.
        os.environ[study.prepare["variable"]] = str(data)
        common["the data"] = file_hash(data / "manifest.json")
    groups = {len(gpus.split(",")) for gpus in where.gpus}
    if len(groups) > 1:
        raise UsageError(f"gpus are {' '.join(where.gpus)}; wanted groups of one size, such as 0,1 2,3")
    return Worker(study, folder, environment, common, processes=groups.pop() if groups else where.processes)
