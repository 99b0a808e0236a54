"""Runs of a study as jobs of a Slurm cluster, or of submitit's own local executor."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any, Iterable

from ..utils.errors import StepError
from .plan import Run, look_at, read_failure
from .progress import View
from .runs import Worker

_SECONDS_BETWEEN_LOOKS = 5.0


def submit_runs(runs: Iterable[Run], worker: Worker, cluster: str | None = None) -> dict[str, Any]:
    """Submit a job for each run; on Slurm a job begins when the one that it needs has succeeded.

    Args:
        runs: in order, so that a run comes after the one that it needs.
        worker: does them, inside the jobs.
        cluster: None for Slurm; ``'local'`` for processes on this machine, where a run is
            submitted once the one that it needs has ended.

    Returns:
        submitit's jobs, by the run's name.

    Raises:
        StepError: there is no Slurm here, or submitit is not installed.
    """
    executor = make_executor(worker, cluster)
    jobs: dict[str, Any] = {}
    for run in runs:
        needed = jobs.get(run.needs or "")
        if needed is not None and cluster == "local":
            _wait(needed)
        elif needed is not None:
            depends = dict(dependency=f"afterok:{needed.job_id}", kill_on_invalid_dep="yes")
            executor.update_parameters(slurm_additional_parameters=depends)
        elif cluster != "local":
            executor.update_parameters(slurm_additional_parameters={})
        executor.update_parameters(name=run.name.replace("/", "-"))
        jobs[run.name] = executor.submit(_execute, worker, run)
    return jobs


def make_executor(worker: Worker, cluster: str | None) -> Any:
    """submitit's executor with what the study's ``cluster`` asks for."""
    try:
        import submitit
    except ImportError as error:
        raise StepError("submitit is not installed, and jobs were asked for; wanted pip install submitit") from error
    logs = worker.folder / "jobs"
    try:
        executor = submitit.AutoExecutor(folder=logs, cluster=cluster or "slurm")
    except RuntimeError as error:
        raise StepError(f"no job can be submitted here ({error}); wanted a machine with Slurm's sbatch") from error
    asked = worker.study.cluster
    parameters: dict[str, Any] = dict(timeout_min=asked.get("minutes", 24 * 60), nodes=1, tasks_per_node=1)
    names = dict(cpus="cpus_per_task", gpus="gpus_per_node", memory_gb="mem_gb")
    parameters.update({name: asked[key] for key, name in names.items() if key in asked})
    if cluster is None:
        slurm = dict(partition="slurm_partition", setup="slurm_setup")
        parameters.update({name: asked[key] for key, name in slurm.items() if key in asked})
    executor.update_parameters(**parameters)
    return executor


def wait_for_jobs(jobs: dict[str, Any], runs: list[Run], folder: Path, view: View) -> dict[str, str]:
    """Follow jobs until all have ended; why runs failed, by name."""
    seen: dict[str, str] = {}
    while True:
        ended = {name: job.done() for name, job in jobs.items()}
        for run in runs:
            state = look_at(run, folder).state
            if seen.get(run.name) != state:
                seen[run.name] = state
                view.say(f"{run.name}: {state}")
        if all(ended.values()):
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    failures = {}
    for run in runs:
        if look_at(run, folder).state != "finished":
            lines = read_failure(folder / run.name) or (f"its job ended without a result; see {folder / 'jobs'}",)
            failures[run.name] = "\n".join(lines)
    return failures


def _wait(job: Any) -> None:
    while not job.done():
        time.sleep(0.2)


def _execute(worker: Worker, run: Run) -> None:
    """What a job does."""
    # A job has variables of its own, such as the GPUs that it was given; the study's lie under them.
    own = {name: value for name, value in os.environ.items() if name.startswith(("SLURM", "CUDA"))}
    worker = dataclasses.replace(worker, environment={**worker.environment, **own})
    worker.execute(run, lambda text: print(text, flush=True), lambda line: None)
