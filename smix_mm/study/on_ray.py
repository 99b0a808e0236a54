"""Runs of a study as tasks of Ray, on one machine or on a cluster whose nodes share the study's folder."""

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
from typing import Any, Callable, Iterator

from ..utils.errors import PackageError, StepError
from ..utils.lock import read_token
from .cluster import SECONDS_BETWEEN_CHECKS, exported_variables, watch_runs
from .run import LOCK, LineCallback, Run
from .worker import Worker

RETRIES = 3
"""How often Ray executes a run again whose process or node was lost; a run that fails is not executed again."""

SECONDS_TO_APPEAR = 60.0
"""How long a new file may take until another node sees it; network file systems cache folders for up to a minute."""

_OBJECT_STORE_BYTES = 100 * 2**20  # a task returns a few strings


def run_on_ray(runs: list[Run], worker: Worker, log: LineCallback, address: str | None = None) -> dict[str, str]:
    """Execute the runs that are not finished; each is a task that starts once the task of the run that it needs ends.

    A task has the resources in the study's ``cluster``: ``cpus`` (default: one for each process), ``gpus`` (default:
    one for each process if a node has any, else none) and ``memory_gb``. It gets the variables of this process that
    :func:`~smix_mm.study.cluster.exported_variables` selects, as an argument, which Ray does not log.

    Args:
        runs: in the order in which they should start.
        worker: executes a run inside its task; this process holds the lock of its folder.
        log: called with each message and each change of a run's state.
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
        resources, lacking = _resources(ray.nodes(), worker)
        if lacking and not address:
            raise StepError(f"{lacking}; set fewer in the study's cluster, or use the address of a larger one.")
        if lacking:
            log(f"{lacking} at the moment; the runs wait for one")
        pending, failures = _submit(ray, runs, worker, log, resources), dict[str, str]()

        def have_ended() -> bool:
            ended = ray.wait([*pending], num_returns=len(pending), timeout=SECONDS_BETWEEN_CHECKS)[0] if pending else ()
            for reference in ended:
                run = pending.pop(reference)
                try:
                    failure, lines = ray.get(reference)
                except ray.exceptions.RayError as error:  # it was lost too often, or this package has a fault
                    failure, lines = f"Ray ended its task: {error}", ()
                for line in lines:
                    log(line)
                if failure is not None:
                    failures[run.name] = failure
                if failure is not None and not failure.startswith("blocked by "):
                    log(f"{run.name} failed; the other runs continue\n{failure}")
            return not pending

        return {**watch_runs(runs, worker.folder, log, have_ended, lambda: None), **failures}


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
    options: dict[str, Any] = {} if address else dict(include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES)
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


def _resources(nodes: list[dict[str, Any]], worker: Worker) -> tuple[dict[str, float], str | None]:
    """What each run needs, by Ray's names, and the beginning of a sentence if no node has it."""
    cluster, alive = worker.study.cluster, [node["Resources"] for node in nodes if node["Alive"]]
    cpus = cluster.get("cpus", worker.processes)
    gpus = cluster.get("gpus", worker.processes if any(node.get("GPU") for node in alive) else 0)
    gib = cluster.get("memory_gb", 0)
    needed = dict(CPU=cpus, GPU=gpus, memory=gib * 2**30)
    if any(all(node.get(name, 0) >= number for name, number in needed.items()) for node in alive):
        return needed, None
    lacking = f"a run needs {cpus:g} CPUs, {gpus:g} GPUs and {gib:g} GiB of memory, and no node of Ray has these"
    return needed, lacking


def _submit(
    ray: Any, runs: list[Run], worker: Worker, log: LineCallback, resources: dict[str, float]
) -> dict[Any, Run]:
    """A task for each run that is not finished, by Ray's reference to its outcome."""
    task = ray.remote(_make_task())
    options = dict(num_cpus=resources["CPU"], num_gpus=resources["GPU"], memory=int(resources["memory"]) or None)
    # Ray sets which GPUs a task uses.
    variables = {name: os.environ[name] for name in exported_variables(worker) if name != "CUDA_VISIBLE_DEVICES"}
    token = read_token(worker.folder / LOCK)
    assert token is not None, "the caller holds the lock"
    tasks: dict[str, Any] = {}
    for run in runs:
        needed = tasks.get(run.needs.name) if run.needs else None
        if needed is None and worker.is_finished(run):
            log(f"{run.name}: finished before")
            continue
        packed = pickle.dumps(partial(_execute, worker, run, token, SECONDS_TO_APPEAR))
        placed = task.options(name=run.name, max_retries=RETRIES, **options)
        tasks[run.name] = placed.remote(packed, os.getcwd(), sys.path, variables, needed)
    return {tasks[run.name]: run for run in runs if run.name in tasks}


def _make_task() -> Callable[..., tuple[str | None, list[str]]]:
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


def _execute(worker: Worker, run: Run, token: str, seconds: float, needed: Any) -> tuple[str | None, list[str]]:
    """Execute a run inside its task, given the outcome of the run that it needs if that was a task too.

    Returns:
        the reason why it failed, or None, and its messages.
    """
    lines: list[str] = []
    if needed is not None and needed[0] is not None and run.needs is not None:
        return f"blocked by {run.needs.name}", lines
    try:
        check_folder(worker.folder, token, seconds)
        worker.execute(run, lines.append, lambda line: None, wait=True)
    except (StepError, OSError) as error:
        return str(error), lines
    return None, lines
