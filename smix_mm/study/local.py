"""Runs of a study on this machine: one after another, or several at a time."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import closing
from typing import Iterable

import torch

from ..utils.errors import StepError
from .fork_server import ForkServer
from .plan import Run, describe_time, look_at, time_left
from .progress import View
from .runs import Worker


def run_locally(runs: Iterable[Run], workers: list[Worker], view: View) -> dict[str, str]:
    """Do runs; each worker does one at a time, and a run waits for the one that it needs.

    Args:
        runs: in the order in which they are begun.
        workers: such as one for each GPU.
        view: is told what happens.

    Returns:
        why runs failed, by name; one that needs a failed one is named with it.
    """
    queue = _Queue(list(runs), workers[0], len(workers), view)
    threads = [threading.Thread(target=_work, args=(queue, worker, view), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        # In pieces, so that Ctrl-C is heard.
        while thread.is_alive():
            thread.join(0.2)
    if queue.crash is not None:
        raise queue.crash
    return queue.failures


class _Queue:
    """Hands out runs whose need is met."""

    def __init__(self, runs: list[Run], worker: Worker, workers: int, view: View) -> None:
        self._known = worker.study.seconds
        self._all, self._waiting, self._going = runs, list(runs), set[str]()
        self._folder, self._workers, self._view = worker.folder, workers, view
        self._done: set[str] = set()
        self._change = threading.Condition()
        self.failures: dict[str, str] = {}
        self.crash: BaseException | None = None

    def take(self) -> Run | None:
        """The next run that can begin, waiting for one; None when there will be none."""
        with self._change:
            while self.crash is None:
                for run in list(self._waiting):
                    if run.needs in self.failures:
                        self._waiting.remove(run)
                        self.failures[run.name] = f"{run.needs} failed"
                    elif run.needs is None or run.needs in self._done:
                        self._waiting.remove(run)
                        self._going.add(run.name)
                        return run
                if not self._waiting or not self._going:
                    return None
                self._change.wait()
            return None

    def end(self, run: Run, failure: str | None, crash: BaseException | None) -> None:
        with self._change:
            self._going.discard(run.name)
            self._done.add(run.name)
            if failure is not None:
                self.failures[run.name] = failure
            self.crash = self.crash or crash
            self._change.notify_all()
        states = [look_at(each, self._folder) for each in self._all]
        finished = sum(state.state == "finished" for state in states)
        left = describe_time(time_left(states, self._known, self._workers))
        self._view.state(f"{finished} of {len(states)} runs finished; time left: {left}")


def _work(queue: _Queue, worker: Worker, view: View) -> None:
    if worker.processes == 1 and not torch.cuda.is_available():
        with closing(ForkServer(worker.environment)) as server:
            _work_off(queue, dataclasses.replace(worker, server=server), view)
    else:
        _work_off(queue, worker, view)


def _work_off(queue: _Queue, worker: Worker, view: View) -> None:
    while (run := queue.take()) is not None:
        failure, crash = None, None
        try:
            name = run.name
            worker.execute(run, view.say, lambda line, name=name: view.watch(name, line))  # type: ignore[misc]
        except StepError as error:
            failure = str(error)
            view.say(f"{run.name} failed; going on with the others\n{error}")
        except BaseException as error:  # a fault of this program's own stops everything, loudly
            crash = error
        view.ended(run.name)
        queue.end(run, failure, crash)


def on_gpus(worker: Worker, gpus: list[str]) -> list[Worker]:
    """A worker for each group of GPUs, such as ``['0', '1']`` or ``['0,1', '2,3']``."""
    return [
        dataclasses.replace(worker, environment={**worker.environment, "CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus
    ]
