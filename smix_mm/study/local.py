"""Runs of a study on this machine: one after another, or several at a time, with their progress on the screen."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
import time
from functools import partial
from queue import Queue
from typing import Any, Callable

import torch

from ..utils.errors import StepError
from .programs import end_programs
from .run import Run, run_state, seconds_needed, time_left
from .worker import Worker

_PROGRESS = re.compile(r"(?:Epoch|Iter)\(\w+\).*")  # in a log line of mmengine


class View:
    """A context manager that shows progress: a table on a terminal, lines elsewhere; usable from several threads.

    Args:
        title: of the table.
        write: prints a text. Defaults to standard output, with the table if that is a terminal.
        seconds: between two lines of one run's progress without a table.
    """

    def __init__(self, title: str = "", write: Callable[[str], None] | None = None, seconds: float = 10) -> None:
        self._title, self._summary, self._seconds = title, "", seconds
        self._write = write or partial(print, flush=True)
        self._running: dict[str, str] = {}
        self._shown: dict[str, float] = {}  # when a line of the run was printed
        self._lock = threading.Lock()
        self._live: Any = None
        if write is None and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(refresh_per_second=4, transient=True)

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def log(self, text: str) -> None:
        """Print a message that stays on the screen."""
        with self._lock:
            if self._live is None:
                self._write(text)
            else:
                self._live.console.print(text, markup=False, highlight=False)

    def update(self, run: str, line: str) -> None:
        """Show the progress of a run, given a line of its output."""
        found, now = _PROGRESS.search(line), time.monotonic()
        with self._lock:
            self._running.setdefault(run, "starting")
            if found is not None:
                self._running[run] = " ".join(found[0].split())
                if self._live is None and now - self._shown.setdefault(run, now) >= self._seconds:
                    self._shown[run] = now
                    self._write(f"  {run}: {self._running[run]}"[:150])
            self._draw()

    def finish(self, run: str, summary: str) -> None:
        """Remove a run that has ended, and show how many are finished."""
        with self._lock:
            self._running.pop(run, None)
            self._summary = summary
            self._draw()
        if self._live is None:
            self.log(summary)

    def _draw(self) -> None:
        if self._live is not None:
            from rich.table import Table

            table = Table(
                "running", "progress", title=self._title, caption=self._summary, title_justify="left",
                caption_justify="left",
            )  # fmt: skip
            for row in self._running.items():
                table.add_row(*row)
            self._live.update(table)


def run_locally(runs: list[Run], workers: list[Worker], view: View, deadline: float | None = None) -> dict[str, str]:
    """Execute runs; each worker executes one at a time, and a run waits for the one that it needs.

    No run starts that would end later than ``deadline``, in seconds of ``time.monotonic``.

    Returns:
        the reasons of failed runs, by name; runs that need a failed one are failed too.
    """
    folder, known = workers[0].folder, workers[0].study.seconds
    fork = workers[0].processes == 1 and not torch.cuda.is_available()
    free = [dataclasses.replace(worker, fork=fork) for worker in workers]
    waiting, unfinished, failures = list(runs), set(runs), dict[str, str]()
    ended: Queue[tuple[Worker, Run, BaseException | None]] = Queue()

    def work(worker: Worker, run: Run) -> None:
        try:
            worker.execute(run, view.log, partial(view.update, run.name))
            ended.put((worker, run, None))
        except BaseException as error:
            ended.put((worker, run, error))

    try:
        while waiting or len(free) < len(workers):
            for run in list(waiting):
                if run.needs is not None and run.needs.name in failures:
                    failures[run.name] = f"blocked by {run.needs.name}"
                    waiting.remove(run)
                elif free and run.needs not in unfinished:
                    if deadline is not None and _is_late(run, runs, free[0], deadline):
                        view.log(f"no time is left for {run.name}; start the study again to go on from there")
                        waiting.clear()
                        break
                    waiting.remove(run)
                    threading.Thread(target=work, args=(free.pop(0), run), daemon=True).start()
            if len(free) == len(workers):
                continue
            worker, run, error = ended.get()
            free.append(worker)
            unfinished.remove(run)
            if isinstance(error, StepError):
                failures[run.name] = str(error)
                view.log(f"{run.name} failed; the other runs continue\n{error}")
            elif error is not None:  # a bug in this program ends the study
                raise error
            states = [run_state(each, folder) for each in runs]
            finished = sum(state.state == "finished" for state in states)
            left = time_left(states, known, len(workers))
            view.finish(run.name, f"{finished} of {len(states)} runs finished; time left: {left}")
    finally:
        end_programs()
    return failures


def _is_late(run: Run, runs: list[Run], worker: Worker, deadline: float) -> bool:
    """Whether the time is too short for an unfinished run."""
    if worker.is_finished(run):
        return False
    needed = seconds_needed(run, [run_state(each, worker.folder) for each in runs])
    return not 0 < deadline - time.monotonic() >= needed
