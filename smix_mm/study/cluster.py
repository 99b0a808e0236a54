"""Runs of a study as jobs of a Slurm cluster, or of submitit's local executor; never run on a real cluster."""

from __future__ import annotations

import fnmatch
import getpass
import os
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable

from ..utils.errors import PackageError, StepError
from ..utils.files import write_json
from .run import LineCallback, Run, read_json, run_state
from .worker import Worker

EXPORTED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH",
    "VIRTUAL_ENV", "CONDA_PREFIX", "SMIX_*", "OMP_*", "MKL_*", "NCCL_*", "CUDA_HOME", "TORCH_HOME", "HF_HOME",
)  # fmt: skip
"""Patterns of the variables that a job gets; ``export`` in a study's ``cluster`` adds others."""

SECONDS_BETWEEN_CHECKS = 5.0


def submit_runs(runs: Iterable[Run], worker: Worker, log: LineCallback, cluster: str | None = None) -> dict[str, Any]:
    """Submit a job for each run that is neither finished nor in the queue; see :func:`wait_for_jobs`.

    On Slurm a job starts once the job of the run that it needs has ended, and is never cancelled for it: without a
    backbone it fails within seconds. A job whose run another process executes waits for it.

    With ``cluster='local'`` jobs are processes on this machine, submitted once the one that they need has ended.

    Returns:
        by the run's name, the job's number on Slurm, else submitit's job.

    Raises:
        PackageError: submitit is not installed.
        StepError: Slurm is not available or cannot be asked for its queue.
    """
    executor = make_executor(worker, cluster)
    submitted = worker.folder / "jobs" / "submitted.json"
    known = read_json(submitted) if cluster is None and submitted.is_file() else {}
    queued = read_queue() if known else set()
    jobs: dict[str, Any] = {}
    for run in runs:
        needed = jobs.get(run.needs.name) if run.needs else None
        if known.get(run.name) in queued:
            jobs[run.name] = known[run.name]
            log(f"{run.name}: is job {known[run.name]} already")
            continue
        if needed is None and worker.is_finished(run):
            log(f"{run.name}: finished before")
            continue
        more = dict(export=",".join(exported_variables(worker)))
        if cluster is not None and needed is not None:
            needed.wait()
        elif needed is not None:
            more["dependency"] = f"afterany:{needed}"
        executor.update_parameters(name=run.name.replace("/", "-"), slurm_additional_parameters=more)
        job = executor.submit(_execute, worker, run)
        jobs[run.name] = job
        if cluster is None:
            jobs[run.name] = known[run.name] = job.job_id
            write_json(submitted, known)
    return jobs


def make_executor(worker: Worker, cluster: str | None) -> Any:
    """submitit's executor with the resources of the study's ``cluster``."""
    try:
        import submitit

        executor = submitit.AutoExecutor(folder=worker.folder / "jobs", cluster=cluster or "slurm")
    except ImportError as error:
        raise PackageError("submitit is not installed; jobs need it: pip install submitit") from error
    except RuntimeError as error:
        raise StepError(f"no job can be submitted ({error}); use a machine with Slurm's sbatch.") from error
    resources = worker.study.cluster
    # submitit leaves out what is None, and those with slurm_ on another cluster.
    executor.update_parameters(
        timeout_min=resources.get("minutes", 24 * 60),
        nodes=1,
        tasks_per_node=1,
        cpus_per_task=resources.get("cpus"),
        gpus_per_node=resources.get("gpus"),
        mem_gb=resources.get("memory_gb"),
        slurm_partition=resources.get("partition"),
        slurm_nodes=resources.get("nodes"),
        # Without this, programs would not get the variables that the study's setup sets.
        slurm_setup=["unset SLURM_EXPORT_ENV", *resources.get("setup", ())],
        # Of several nodes, the first executes the run and starts each program on all of them.
        slurm_use_srun=worker.nodes == 1,
    )
    return executor


def exported_variables(worker: Worker) -> list[str]:
    """Names of this process's variables that are passed to a job: of :data:`EXPORTED`, the study and the worker."""
    patterns = (*EXPORTED, *worker.study.cluster.get("export", ()), *worker.environment)
    return sorted(name for name in os.environ if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def read_queue() -> set[str]:
    """The numbers of the user's jobs that Slurm runs or will run; an error if it does not report them."""
    command = ["squeue", "--noheader", "--format=%i", f"--user={getpass.getuser()}"]
    try:
        return {*subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()}
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", "") or error).strip()
        raise StepError(
            f"squeue does not report which jobs are queued ({reason}), so the state of the jobs that were submitted "
            "before is unknown and nothing was submitted. Start the study again when squeue works."
        ) from error


def wait_for_jobs(jobs: dict[str, Any], runs: list[Run], folder: Path, log: LineCallback) -> dict[str, str]:
    """Wait until all jobs have ended; the reasons of failed runs, by name."""
    numbers = {job for job in jobs.values() if isinstance(job, str)}

    def have_ended() -> bool:
        return not (numbers & read_queue() if numbers else [job for job in jobs.values() if not job.done()])

    return watch_runs(runs, folder, log, have_ended, partial(time.sleep, SECONDS_BETWEEN_CHECKS))


def watch_runs(
    runs: list[Run], folder: Path, log: LineCallback, have_ended: Callable[[], bool], wait: Callable[[], Any]
) -> dict[str, str]:
    """Log the state of each run when it changes, until all have ended; the reasons of failed runs, by name."""
    seen: dict[str, str] = {}
    while True:
        ended = have_ended()
        states = [run_state(run, folder) for run in runs]
        for state in states:
            if seen.setdefault(state.run.name, "waiting") != state.state:
                seen[state.run.name] = state.state
                log(f"{state.run.name}: {state.state}")
        if ended:
            break
        wait()
    reason = f"it ended without a result in {folder}; see the logs in its folder jobs, if there is one"
    return {
        state.run.name: state.state if state.state.startswith("blocked") else "\n".join(state.lines or (reason,))
        for state in states
        if state.state != "finished"
    }


def _execute(worker: Worker, run: Run) -> None:
    """Execute a run inside its job."""
    worker.execute(run, partial(print, flush=True), lambda line: None, wait=True)
