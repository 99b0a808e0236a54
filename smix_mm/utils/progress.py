"""Progress on stderr: rich's bar on a terminal, otherwise a line every ten seconds; and work in several processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Iterator, Sequence, Sized, TypeVar

from .errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_REDRAWS = 0.1


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show how many are done.

    Args:
        items: what to iterate over.
        label: the beginning of the progress line.
        total: number of items. Defaults to ``len(items)``; where that does not exist, no time left is shown.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(label, total) as progress:
        for number, item in enumerate(items, 1):
            yield item
            progress.update(number)


class Progress:
    """A context manager that shows how many items, or bytes, are done, and the time left.

    Without rich (extra ``tools``) or a terminal, a line is printed every :data:`SECONDS_BETWEEN_LINES`.

    Args:
        label: the beginning of the line.
        total: items or bytes in all; None if unknown.
        done: items or bytes that were done earlier, as of a resumed download.
        in_bytes: show megabytes.
    """

    def __init__(self, label: str, total: int | None, done: int = 0, in_bytes: bool = False) -> None:
        self.label, self.total, self.in_bytes = label, total, in_bytes
        self._start = done
        self._started = self._shown = time.monotonic()
        on_terminal = sys.stderr.isatty() and find_spec("rich") is not None
        self._bar = _open_bar(in_bytes) if on_terminal else None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, completed=self._start)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int) -> None:
        """Show that ``done`` items or bytes are done, including the earlier ones."""
        now = time.monotonic()
        if now - self._shown < (SECONDS_BETWEEN_LINES if self._bar is None else _SECONDS_BETWEEN_REDRAWS):
            return
        self._shown = now
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        elif done != self.total:
            print(f"{self.label}: {self._amount(done)}{self._time_left(done, now)}", file=sys.stderr, flush=True)

    def _amount(self, done: int) -> str:
        form, unit = ((lambda n: f"{n / 1e6:,.1f}"), " MB") if self.in_bytes else (str, "")
        return form(done) + ("" if self.total is None else f" of {form(self.total)}") + unit

    def _time_left(self, done: int, now: float) -> str:
        new = done - self._start
        if self.total is None or new <= 0:
            return ""
        minutes, seconds = divmod(int((now - self._started) / new * max(0, self.total - done)), 60)
        return f", {minutes} min {seconds} s left" if minutes else f", {seconds} s left"


def _open_bar(in_bytes: bool) -> Any:
    from rich import progress as rich
    from rich.console import Console

    amount = rich.DownloadColumn() if in_bytes else rich.MofNCompleteColumn()
    label = rich.TextColumn("{task.description}", markup=False)
    columns = (label, rich.BarColumn(), amount, rich.TimeRemainingColumn(), rich.TextColumn("left"))
    return rich.Progress(*columns, console=Console(stderr=True), transient=True)


@contextmanager
def open_with_progress(path: Path, label: str) -> Iterator[BinaryIO]:
    """Open a file for reading; its position is shown as progress, in bytes."""

    class Tracked(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            content = super().read(size)
            progress.update(self.tell())
            return content

    with Tracked(io.FileIO(path)) as file, Progress(label, path.stat().st_size, in_bytes=True) as progress:
        yield file


def in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int | None = None,
    label: str = "done",
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order, with progress on stderr, which begins with ``label``.

    Args:
        function: a function that can be pickled.
        items: its arguments.
        jobs: number of processes. Defaults to one per usable core.

    Raises:
        DataError: a process was killed, for example because memory ran out.
    """
    if not items:
        return
    methods = multiprocessing.get_all_start_methods()
    # A forked process need not import everything again.
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ProcessPoolExecutor(jobs or cores, context, _follow_parent)
    try:
        # The processes start before the progress bar starts its thread: forking a process with threads is unsafe.
        yield from track(pool.map(function, items, chunksize=32), label, len(items))
    except BrokenProcessPool:
        raise DataError(
            "a process that reads files was killed, most often because memory ran out; use fewer of them: --jobs 1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    # Otherwise a process whose parent was killed would wait for work forever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a started process has this thread"
    parent.join()
    os._exit(1)
