"""Runs of a study on this machine: one after another, or several at a time."""

from __future__ import annotations

import dataclasses
import threading
import time
from functools import partial
from typing import Iterable

import torch

from ..utils.errors import StepError
from .plan import describe_time, run_state, seconds_needed, time_left
from .programs import end_programs
from .progress import View
from .run import Run
from .worker import Worker


def run_locally(runs: Iterable[Run], workers: list[Worker], view: View) -> dict[str, str]:
    """Execute runs; each worker executes one at a time, and a run waits for the one that it needs.

    Returns:
        the reasons of failed runs, by name; runs that need a failed one are failed too.
    """
    queue = _Queue(list(runs), workers, view)
    threads = [threading.Thread(target=queue.work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # With a timeout, because a join without one delays Ctrl-C.
            while thread.is_alive():
                thread.join(0.2)
    finally:
        end_programs()
    if queue.crash is not None:
        raise queue.crash
    return queue.failures


class _Queue:
    """Hands out runs whose needed run has ended."""

    def __init__(self, runs: list[Run], workers: list[Worker], view: View) -> None:
        self._all, self._waiting, self._running = runs, list(runs), set[str]()
        self._worker, self._workers, self._view = workers[0], len(workers), view
        self._change = threading.Condition()
        self.failures: dict[str, str] = {}
        self.crash: BaseException | None = None

    def work(self, worker: Worker) -> None:
        """Execute runs until there are no more."""
        if worker.processes == 1 and not torch.cuda.is_available():
            worker = dataclasses.replace(worker, fork=True)
        while (run := self._take()) is not None:
            failure, crash = None, None
            try:
                worker.execute(run, self._view.log, partial(self._view.update, run.name))
            except StepError as error:
                failure = str(error)
                self._view.log(f"{run.name} failed; the other runs continue\n{error}")
            except BaseException as error:  # a bug in this program ends the study
                crash = error
            self._finish(run, failure, crash)

    def _take(self) -> Run | None:
        """The next run that can start, once there is one; None if there will be none."""
        with self._change:
            while self.crash is None and self._waiting:
                unfinished = {run.name for run in self._waiting} | self._running
                for run in list(self._waiting):
                    needed = run.needs.name if run.needs else ""
                    if needed in self.failures:
                        self._waiting.remove(run)
                        self.failures[run.name] = f"blocked by {needed}"
                    elif needed not in unfinished:
                        if self._is_late(run):
                            return None
                        self._waiting.remove(run)
                        self._running.add(run.name)
                        return run
                if self._waiting:
                    self._change.wait()
            return None

    def _is_late(self, run: Run) -> bool:
        """Whether the time is too short for an unfinished run; then it and all that wait are left."""
        if self._worker.deadline is None or self._worker.is_finished(run):
            return False
        states = [run_state(each, self._worker.folder) for each in self._all]
        if 0 < self._worker.deadline - time.monotonic() >= seconds_needed(run, states):
            return False
        self._view.log(f"no time is left for {run.name}; start the study again to go on from there")
        self._waiting.clear()
        self._change.notify_all()
        return True

    def _finish(self, run: Run, failure: str | None, crash: BaseException | None) -> None:
        self._view.finish(run.name)
        with self._change:
            self._running.discard(run.name)
            if failure is not None:
                self.failures[run.name] = failure
            self.crash = self.crash or crash
            self._change.notify_all()
        states = [run_state(each, self._worker.folder) for each in self._all]
        finished = sum(state.state == "finished" for state in states)
        left = describe_time(time_left(states, self._worker.study.seconds, self._workers))
        self._view.summarize(f"{finished} of {len(states)} runs finished; time left: {left}")


def on_gpus(worker: Worker, gpus: Iterable[str]) -> list[Worker]:
    """A worker for each group of GPUs, such as ``['0', '1']`` or ``['0,1', '2,3']``."""
    return [
        dataclasses.replace(worker, environment={**worker.environment, "CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus
    ]
