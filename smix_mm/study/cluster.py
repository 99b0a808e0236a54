"""Runs of a study as jobs of a Slurm cluster, or of submitit's local executor."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any, Iterable

from ..utils.errors import StepError
from .plan import read_failure, run_state
from .progress import View
from .run import Run
from .worker import Worker

_SECONDS_BETWEEN_CHECKS = 5.0


def submit_runs(runs: Iterable[Run], worker: Worker, cluster: str | None = None) -> dict[str, Any]:
    """Submit a job for each run; on Slurm a job starts once the job of the run that it needs has succeeded.

    Args:
        runs: ordered so that a run comes after the one that it needs.
        worker: executes them, inside the jobs.
        cluster: None for Slurm; ``'local'`` for processes on this machine, where a run is
            submitted once the one that it needs has ended.

    Returns:
        submitit's jobs, by the run's name.

    Raises:
        StepError: Slurm is not available, or submitit is not installed.
    """
    executor = make_executor(worker, cluster)
    jobs: dict[str, Any] = {}
    for run in runs:
        needed = jobs.get(run.needs or "")
        if cluster == "local":
            while needed is not None and not needed.done():
                time.sleep(0.2)
        elif needed is not None:
            depends = dict(dependency=f"afterok:{needed.job_id}", kill_on_invalid_dep="yes")
            executor.update_parameters(slurm_additional_parameters=depends)
        else:
            executor.update_parameters(slurm_additional_parameters={})
        executor.update_parameters(name=run.name.replace("/", "-"))
        jobs[run.name] = executor.submit(_execute, worker, run)
    return jobs


def make_executor(worker: Worker, cluster: str | None) -> Any:
    """submitit's executor with the resources of the study's ``cluster``."""
    try:
        import submitit
    except ImportError as error:
        raise StepError("submitit is not installed; jobs need it: pip install submitit") from error
    logs = worker.folder / "jobs"
    try:
        executor = submitit.AutoExecutor(folder=logs, cluster=cluster or "slurm")
    except RuntimeError as error:
        raise StepError(f"no job can be submitted ({error}); use a machine with Slurm's sbatch.") from error
    resources = worker.study.cluster
    parameters: dict[str, Any] = dict(timeout_min=resources.get("minutes", 24 * 60), nodes=1, tasks_per_node=1)
    names = dict(cpus="cpus_per_task", gpus="gpus_per_node", memory_gb="mem_gb")
    if cluster is None:
        names |= dict(partition="slurm_partition", setup="slurm_setup")
    parameters.update({name: resources[key] for key, name in names.items() if key in resources})
    executor.update_parameters(**parameters)
    return executor


def wait_for_jobs(jobs: dict[str, Any], runs: list[Run], folder: Path, view: View) -> dict[str, str]:
    """Wait until all jobs have ended.

    Returns:
        the reasons of failed runs, by name.
    """
    seen: dict[str, str] = {}
    while True:
        ended = [job.done() for job in jobs.values()]
        for run in runs:
            state = run_state(run, folder).state
            if seen.get(run.name) != state:
                seen[run.name] = state
                view.log(f"{run.name}: {state}")
        if all(ended):
            break
        time.sleep(_SECONDS_BETWEEN_CHECKS)
    failures = {}
    for run in runs:
        if run_state(run, folder).state != "finished":
            lines = read_failure(run, folder) or (f"its job ended without a result; see {folder / 'jobs'}",)
            failures[run.name] = "\n".join(lines)
    return failures


def _execute(worker: Worker, run: Run) -> None:
    """Execute a run inside its job."""
    # The job's own variables, such as the GPUs that Slurm assigned to it, override those of the study.
    own = {name: value for name, value in os.environ.items() if name.startswith(("SLURM", "CUDA"))}
    worker = dataclasses.replace(worker, environment={**worker.environment, **own})
    worker.execute(run, lambda text: print(text, flush=True), lambda line: None)
