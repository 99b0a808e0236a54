"""The commands of ``tools/study.py``: run, status, report and clean."""

from __future__ import annotations

import dataclasses
import os
import pkgutil
import shutil
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ContextManager, Sequence

from ..utils.choices import check_minimum
from ..utils.errors import StepError, UsageError
from ..utils.files import file_hash, write_json
from ..utils.lock import hold
from ..utils.text import first_few
from . import run as record
from .config import RunConfig, Study, load_study
from .run import Run, RunState, plan_study, run_state, time_left

if TYPE_CHECKING:
    from .worker import Worker


def run_study(
    config: str | Path,
    work_dir: str | Path,
    *,
    executor: str = "local",
    gpus: Sequence[str] = (),
    processes: int = 1,
    address: str | None = None,
    minutes: float | None = None,
    dry: bool = False,
) -> list[RunState]:
    """Execute all runs that are not finished, and write the report.

    Args:
        config: the study's config.
        work_dir: folder of all results.
        executor: ``'local'`` for this machine, ``'ray'`` for tasks of Ray, ``'slurm'`` for jobs, ``'local-jobs'``
            for jobs that are processes on this machine.
        gpus: for ``'local'``: executes one run at a time on each; a group such as ``'0,1'`` trains one run together.
            Defaults to none: one run at a time, on all devices.
        processes: number of processes that train one run together, on each node, if there are no ``gpus``.
        address: of a Ray cluster, see :func:`smix_mm.study.on_ray.run_on_ray`.
        minutes: start no run that, by those that are finished, would end later than this from now; the others wait
            for the next start. Of a kind without a finished run, one is started. Defaults to no limit.
        dry: only print the plan.

    Returns:
        the state of every run.

    Raises:
        UsageError: the config or an option is invalid, or another process works in ``work_dir``.
        StepError: runs failed; raised after the other runs and the report are finished.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    if minutes is not None and (executor != "local" or minutes <= 0):
        raise UsageError(f"minutes should be above 0 and for --executor local, got {minutes}, {executor}.")
    check_minimum("processes", processes, 1)
    study = load_study(config)
    _check_placement(study, executor, gpus, address)
    folder = Path(work_dir).absolute()
    runs = plan_study(study)
    states = [run_state(run, folder) for run in runs]
    _print_plan(study, states, max(len(gpus), 1))
    if dry:
        return states
    # Only executing runs needs torch.
    from .cluster import submit_runs, wait_for_jobs
    from .local import View, run_locally
    from .on_ray import run_on_ray

    with lock_study(folder, work_dir):
        clear_study(folder)
        nodes = int(study.cluster.get("nodes", 1)) if executor == "slurm" else 1
        worker = make_worker(study, folder, len(gpus[0].split(",")) if gpus else processes, nodes)
        write_json(folder / record.STUDY, describe_study(study, runs, config))
        if study.sheet is not None:
            _draw_sheet(study, folder)
            print(f"mixed images: {Path(work_dir) / record.SHEET}", flush=True)
        log = partial(print, flush=True)
        if executor == "ray":
            failures = run_on_ray(runs, worker, log, address)
        elif executor == "local":
            on_gpus = [{**worker.environment, "CUDA_VISIBLE_DEVICES": group} for group in gpus]
            workers = [dataclasses.replace(worker, environment=variables) for variables in on_gpus]
            with View(study.name) as view:
                failures = run_locally(runs, workers or [worker], view, deadline)
        else:
            jobs = submit_runs(runs, worker, log, None if executor == "slurm" else "local")
            failures = wait_for_jobs(jobs, runs, folder, log)
        states = [run_state(run, folder) for run in runs]
        if any(state.state == "finished" for state in states):
            report(work_dir)
            if study.next is not None:
                print(study.next, flush=True)
    if failures:
        failed = [name for name, reason in failures.items() if not reason.startswith("blocked by ")]
        blocked = len(failures) - len(failed)
        logs = first_few([Path(work_dir) / name / record.LOG for name in failed], 3)
        raise StepError(
            f"failed: {', '.join(failed)}{f' (blocked by these: {blocked} more)' if blocked else ''}. Fix what is "
            f"shown at the end of {logs}, and start again."
        )
    return states


def _check_placement(study: Study, executor: str, gpus: Sequence[str], address: str | None) -> None:
    if executor != "ray" and address is not None:
        raise UsageError(f"--address is for --executor ray, got --executor {executor}.")
    if executor != "local" and gpus:
        raise UsageError(
            f"--gpus is for --executor local, got --executor {executor}; set gpus in the study's cluster, the number "
            "that a run has."
        )
    if executor == "ray" and int(study.cluster.get("nodes", 1)) > 1:
        raise UsageError("nodes in the study's cluster should be 1 for --executor ray; a run on several needs Slurm.")
    if len({len(group.split(",")) for group in gpus}) > 1:
        raise UsageError(f"gpus should be groups of one size, such as 0,1 2,3, got {' '.join(gpus)}.")


def _print_plan(study: Study, states: list[RunState], workers: int) -> None:
    """The number of runs of each kind, how many are finished, and the time left."""
    print(f"{study.name}: {len(states)} runs, {', '.join(study.arms)}")
    for kind in dict.fromkeys(state.run.kind for state in states):
        finished = [state.state == "finished" for state in states if state.run.kind == kind]
        print(f"  {kind}: {len(finished)}, of which {sum(finished)} finished")
    print(f"  estimated time left: {time_left(states, study.seconds, workers)}", flush=True)


def status(config: str | Path, work_dir: str | Path) -> list[RunState]:
    """Print the state of every run, with the last log lines of failed ones."""
    study, folder = load_study(config), Path(work_dir).absolute()
    states = [run_state(run, folder) for run in plan_study(study)]
    _print_plan(study, states, 1)
    for state in states:
        seconds = "" if state.seconds is None else f" in {state.seconds:.0f} s"
        print("\n    ".join([f"{state.run.name}: {state.state}{seconds}", *state.lines]))
    return states


def report(work_dir: str | Path, out: str | Path | None = None) -> None:
    """Write the report of a study from its result files alone, and print its summary.

    Args:
        work_dir: folder of the study.
        out: folder to write to. Defaults to ``work_dir``.

    Raises:
        DataError: the folder does not contain a study with results.
    """
    from .report import report_study

    print(report_study(work_dir, out, log=partial(print, file=sys.stderr, flush=True)), flush=True)


def clean(work_dir: str | Path, stale: bool = False) -> int:
    """Remove checkpoints and other files of the trainings of finished runs; results, backbones and logs stay.

    Args:
        work_dir: folder of the study.
        stale: remove the folders of stale runs that were set aside as well. Defaults to False, to list them.

    Returns:
        the number of bytes freed.
    """
    folder = study_folder(work_dir)
    freed = 0
    with lock_study(folder, work_dir):
        for run in record.find_runs(folder):
            if run_state(run, folder, check_content=True).state == "finished":
                freed += sum(_remove(folder / run.name / inner) for inner in ("train", "test"))
        print(f"clean: {freed / 2**20:.0f} MiB of finished runs removed from {work_dir}")
        for place, reason in record.find_set_aside(folder).items():
            size = _remove(place) if stale else folder_size(place)
            freed += size if stale else 0
            verb = "removed" if stale else "set aside (remove it with --stale)"
            print(f"{place.relative_to(folder)}: {verb}, {size / 2**20:.0f} MiB; {reason}")
    return freed


def folder_size(folder: Path) -> int:
    """Bytes that removing a folder frees: a file with a hard link elsewhere frees nothing."""
    files = [path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    found = Counter((file.st_dev, file.st_ino, file.st_nlink, file.st_size) for file in files)
    return sum(size for (*_, links, size), number in found.items() if number == links)


def _remove(folder: Path) -> int:
    size = folder_size(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return size


def study_folder(work_dir: str | Path) -> Path:
    """The absolute path of a study's folder; a UsageError if it is none."""
    folder = Path(work_dir).absolute()
    if not (folder / record.STUDY).is_file():
        raise UsageError(f"{work_dir} contains no {record.STUDY}. It should be the work dir of a study that was run.")
    return folder


def clear_study(folder: Path) -> None:
    """Remove the temporary files of a study's own folder that killed processes left."""
    for stem in ("study", "mixed", "report", "arms", "differences", "classes", "curves", "jobs/.submitted"):
        record.clear_temporaries(folder, f"{'' if '/' in stem else '.'}{stem}-*")


def lock_study(folder: Path, work_dir: str | Path) -> ContextManager[None]:
    """Hold the lock of a study's folder; a UsageError if another process does."""
    return hold(folder / record.LOCK, f"another process runs a study in {work_dir}", error=UsageError)


def describe_study(study: Study, runs: list[Run], config: str | Path) -> dict[str, Any]:
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


def make_worker(study: Study, folder: Path, processes: int = 1, nodes: int = 1) -> Worker:
    """Prepare the study's data, and collect what every result depends on."""
    from .worker import Worker

    environment, common = {"PYTHONUNBUFFERED": "1"}, {}
    if study.prepare is not None:
        data = folder / "data"
        print(f"data: {data}", flush=True)
        try:
            function = pkgutil.resolve_name(study.prepare["call"])
        except (ValueError, ImportError, AttributeError) as error:
            raise UsageError(f"{study.prepare['call']} in prepare cannot be imported: {error}.") from error
        function(data)
        # Configs that this process reads need the variable too.
        environment[study.prepare["variable"]] = os.environ[study.prepare["variable"]] = str(data)
        common["the data"] = file_hash(data / "manifest.json")
    return Worker(study, folder, environment, common, processes, nodes)


def _draw_sheet(study: Study, folder: Path) -> None:
    """Draw mixed training images of the arm ``study.sheet``."""
    from ..visualization import browse_mix

    config = study.arms[str(study.sheet)]
    assert isinstance(config, RunConfig)
    browse_mix(config.path, out=folder / record.SHEET, seed=study.pretraining_seeds[0], cfg_options=config.cfg_options)
