"""Runs of a study as tasks of Ray, on one machine or on a cluster whose nodes share the study's folder.

Ray decides where a run is executed, and executes it again when its process or its node is lost. What is finished is
read from the study's folder alone, where each run holds its lock, so a lost node or a killed command costs only the
runs that it executed; these continue from their checkpoints.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

from ..utils.errors import PackageError, StepError
from .cluster import exported_variables
from .lock import read_token
from .plan import run_state
from .progress import View
from .run import LOCK, Run
from .worker import Worker

RETRIES = 3
"""How often Ray executes a run again whose process or node was lost; a run that fails is not executed again."""

SECONDS_TO_APPEAR = 60.0
"""How long a new file may take until another node sees it; network file systems cache folders for up to a minute."""

_SECONDS_BETWEEN_CHECKS = 5.0
_OBJECT_STORE_BYTES = 100 * 2**20  # a task returns a few strings

Outcome = Tuple[Optional[str], Sequence[str]]
"""The reason why a run failed, or None, and its messages."""


def run_on_ray(runs: list[Run], worker: Worker, view: View, address: str | None = None) -> dict[str, str]:
    """Execute the runs that are not finished; each is a task that starts once the task of the run that it needs ends.

    A task has the resources in the study's ``cluster``: ``cpus`` (default: one for each process), ``gpus`` (default:
    one for each process if a node has any, else none) and ``memory_gb``. It gets the variables of this process that
    :func:`~smix_mm.study.cluster.exported_variables` selects, as an argument, which Ray does not log.

    Args:
        runs: in the order in which they should start.
        worker: executes a run inside its task; this process holds the lock of its folder.
        view: shows messages and states.
        address: of a cluster, such as ``'10.0.0.1:6379'`` or ``'auto'``, of which this machine should be a node.
            Defaults to the variable ``RAY_ADDRESS``; without it Ray is started on this machine, until the end.

    Returns:
        the reasons of failed runs, by name; runs that need a failed one are failed too.

    Raises:
        PackageError: Ray is not installed.
        StepError: there is no cluster at the address, or Ray's new one on this machine has too few resources.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    with _connected(address) as ray:
        resources = _resources(ray, worker)
        lacking = _lacking(ray, resources)
        if lacking and not address:
            raise StepError(f"{lacking}; set fewer in the study's cluster, or use the address of a larger one.")
        if lacking:
            view.log(f"{lacking} at the moment; the runs wait for one")
        return _wait(ray, _submit(ray, runs, worker, view, resources), worker, view)


def check_folder(folder: Path, token: str, seconds: float = SECONDS_TO_APPEAR) -> None:
    """Check that this node sees the lock with this token in the study's folder; a StepError if it does not."""
    end = time.monotonic() + seconds
    while read_token(folder / LOCK) != token:
        if time.monotonic() >= end:
            raise StepError(
                f"the node {socket.gethostname()} does not see the study's folder {folder}, which should be on a file "
                "system that all nodes share, at the same path; use another --work-dir, or share it."
            )
        time.sleep(min(1.0, seconds))


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to the cluster at an address or to a new one on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage statistics
    try:
        import ray
    except ImportError as error:
        raise PackageError("Ray is not installed; --executor ray needs it: pip install 'ray>=2.9'") from error
    options: dict[str, Any] = {}
    if address is None:
        options = dict(include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES)
    try:
        host, _, port = (address or "").rpartition(":")
        if port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself waits for minutes
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where, (reason, *_) = f"at {address}" if address else "on this machine", [*str(error).splitlines(), ""]
        raise StepError(
            f"Ray cannot be used {where} ({reason}); start it with `ray start --head` on one node and `ray start "
            "--address=HOST:6379` on the others, and run this command on one of them."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _resources(ray: Any, worker: Worker) -> dict[str, float]:
    """What each run needs, by Ray's names."""
    cluster = worker.study.cluster
    has_gpu = any(node["Resources"].get("GPU") for node in ray.nodes() if node["Alive"])
    return dict(
        CPU=cluster.get("cpus", worker.processes),
        GPU=cluster.get("gpus", worker.processes if has_gpu else 0),
        memory=cluster.get("memory_gb", 0) * 2**30,
    )


def _lacking(ray: Any, resources: dict[str, float]) -> str | None:
    """The beginning of a sentence if no node has what a run needs, or None."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(name, 0) >= needed for name, needed in resources.items()) for node in nodes):
        return None
    cpus, gpus, gib = resources["CPU"], resources["GPU"], resources["memory"] / 2**30
    return f"a run needs {cpus:g} CPUs, {gpus:g} GPUs and {gib:g} GiB of memory, and no node of Ray has these"


def _submit(
    ray: Any, runs: list[Run], worker: Worker, view: View, resources: dict[str, float]
) -> list[tuple[Run, Any]]:
    """A task for each run that is not finished, with Ray's reference to its outcome."""
    task = ray.remote(_make_task())
    options = dict(num_cpus=resources["CPU"], num_gpus=resources["GPU"], memory=int(resources["memory"]) or None)
    names = exported_variables(worker.study.cluster.get("export", ()), worker.environment)
    # Ray sets which GPUs a task uses.
    variables = {name: os.environ[name] for name in names if name != "CUDA_VISIBLE_DEVICES"}
    token = read_token(worker.folder / LOCK)
    assert token is not None, "the caller holds the lock"
    tasks: dict[str, tuple[Run, Any]] = {}
    for run in runs:
        needed = tasks[run.needs.name][1] if run.needs and run.needs.name in tasks else None
        if needed is None and worker.is_finished(run):
            view.log(f"{run.name}: finished before")
            continue
        packed = pickle.dumps(partial(_execute, worker, run, token, SECONDS_TO_APPEAR))
        placed = task.options(name=run.name, max_retries=RETRIES, **options)
        tasks[run.name] = run, placed.remote(packed, os.getcwd(), sys.path, variables, needed)
    return list(tasks.values())


def _make_task() -> Callable[..., Outcome]:
    """The function of a task. It is local so that Ray sends its code: a node may not find this package before it."""

    def task(packed: bytes, folder: str, path: list[str], variables: dict[str, str], needed: Any = None) -> Any:
        import os
        import pickle
        import socket
        import sys

        try:
            os.chdir(folder)
            os.environ.update(variables)
            sys.path += [each for each in path if each not in sys.path]
            execute = pickle.loads(packed)
        except (OSError, ImportError, AttributeError) as error:
            return (
                f"the node {socket.gethostname()} cannot execute runs ({error}); it should have the folder {folder} "
                "and the same packages as this machine, at the same paths."
            ), []
        return execute(needed)

    return task


def _execute(worker: Worker, run: Run, token: str, seconds: float, needed: Outcome | None) -> Outcome:
    """Execute a run inside its task, given the outcome of the run that it needs if that was a task too."""
    lines: list[str] = []
    if needed is not None and needed[0] is not None and run.needs is not None:
        return f"blocked by {run.needs.name}", lines
    try:
        check_folder(worker.folder, token, seconds)
        worker.execute(run, lines.append, lambda line: None, wait=True)
    except (StepError, OSError) as error:
        return str(error), lines
    return None, lines


def _wait(ray: Any, tasks: list[tuple[Run, Any]], worker: Worker, view: View) -> dict[str, str]:
    """Wait until all tasks have ended; the reasons of failed runs, by name."""
    pending, failures, shown = {reference: run for run, reference in tasks}, dict[str, str](), dict[str, str]()
    while pending:
        ended, _ = ray.wait([*pending], num_returns=len(pending), timeout=_SECONDS_BETWEEN_CHECKS)
        for reference in ended:
            run, failure = pending.pop(reference), _failure(ray, reference, view)
            if failure is None and run_state(run, worker.folder).state != "finished":
                failure = f"its task ended without a result in {worker.folder}"
            if failure is None:
                continue
            if run.needs is not None and run.needs.name in failures:
                failure = f"blocked by {run.needs.name}"
            else:
                view.log(f"{run.name} failed; the other runs continue\n{failure}")
            failures[run.name] = failure
        for run in pending.values():
            state = run_state(run, worker.folder).state
            if shown.setdefault(run.name, "waiting") != state:
                shown[run.name] = state
                view.log(f"{run.name}: {state}")
    return failures


def _failure(ray: Any, reference: Any, view: View) -> str | None:
    """The reason why a task failed, or None; its messages are shown."""
    try:
        failure, lines = ray.get(reference)
    except ray.exceptions.RayError as error:  # it was lost too often, or this package has a fault
        return f"Ray ended its task: {error}"
    for line in lines:
        view.log(line)
    return None if failure is None else str(failure)
