"""Runs of a study on this machine: one after another, or several at a time."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import ExitStack, closing
from functools import partial
from typing import Iterable

import torch

from ..utils.errors import StepError
from .fork_server import ForkServer
from .plan import describe_time, run_state, time_left
from .progress import View
from .run import Run
from .worker import Worker


def run_locally(runs: Iterable[Run], workers: list[Worker], view: View) -> dict[str, str]:
    """Execute runs; each worker executes one at a time, and a run waits for the one that it needs.

    Args:
        runs: in the order in which they start.
        workers: such as one for each GPU.
        view: shows the progress.

    Returns:
        the reasons of failed runs, by name; runs that need a failed one are failed too.
    """
    queue = _Queue(list(runs), workers[0], len(workers), view)
    threads = [threading.Thread(target=_work, args=(queue, worker, view), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        # With a timeout, because a join without one delays Ctrl-C.
        while thread.is_alive():
            thread.join(0.2)
    if queue.crash is not None:
        raise queue.crash
    return queue.failures


class _Queue:
    """Hands out runs whose needed run is finished."""

    def __init__(self, runs: list[Run], worker: Worker, workers: int, view: View) -> None:
        self._seconds = worker.study.seconds
        self._all, self._waiting, self._running = runs, list(runs), set[str]()
        self._folder, self._workers, self._view = worker.folder, workers, view
        self._done: set[str] = set()
        self._change = threading.Condition()
        self.failures: dict[str, str] = {}
        self.crash: BaseException | None = None

    def take(self) -> Run | None:
        """The next run that can start, once there is one; None if there will be none."""
        with self._change:
            while self.crash is None:
                for run in list(self._waiting):
                    if run.needs in self.failures:
                        self._waiting.remove(run)
                        self.failures[run.name] = f"{run.needs} failed"
                    elif run.needs is None or run.needs in self._done:
                        self._waiting.remove(run)
                        self._running.add(run.name)
                        return run
                if not self._waiting or not self._running:
                    return None
                self._change.wait()
            return None

    def finish(self, run: Run, failure: str | None, crash: BaseException | None) -> None:
        with self._change:
            self._running.discard(run.name)
            self._done.add(run.name)
            if failure is not None:
                self.failures[run.name] = failure
            self.crash = self.crash or crash
            self._change.notify_all()
        states = [run_state(each, self._folder) for each in self._all]
        finished = sum(state.state == "finished" for state in states)
        left = describe_time(time_left(states, self._seconds, self._workers))
        self._view.summarize(f"{finished} of {len(states)} runs finished; time left: {left}")


def _work(queue: _Queue, worker: Worker, view: View) -> None:
    """Execute runs of the queue until there are no more."""
    with ExitStack() as stack:
        if worker.processes == 1 and not torch.cuda.is_available():
            server = stack.enter_context(closing(ForkServer(worker.environment)))
            worker = dataclasses.replace(worker, server=server)
        while (run := queue.take()) is not None:
            failure, crash = None, None
            try:
                worker.execute(run, view.log, partial(view.update, run.name))
            except StepError as error:
                failure = str(error)
                view.log(f"{run.name} failed; the other runs continue\n{error}")
            except BaseException as error:  # a bug in this program ends the study
                crash = error
            view.finish(run.name)
            queue.finish(run, failure, crash)


def on_gpus(worker: Worker, gpus: list[str]) -> list[Worker]:
    """A worker for each group of GPUs, such as ``['0', '1']`` or ``['0,1', '2,3']``."""
    return [
        dataclasses.replace(worker, environment={**worker.environment, "CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus
    ]
