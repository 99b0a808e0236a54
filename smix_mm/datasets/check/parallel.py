"""A function over many items in several processes, with progress and the time left on stderr."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Iterable, Iterator, Sequence, TypeVar

from ...utils.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 32
_SECONDS_BETWEEN_LINES = 10.0


def usable_cores() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int | None = None,
    label: str = "done",
    prepare: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order.

    Args:
        function: can be imported by its name.
        items: what it is called with.
        jobs: processes. Defaults to one a usable core.
        label: what the progress line begins with.
        prepare: called once in each process.

    Raises:
        DataError: a process died, as where memory runs out.
    """
    if not items:
        return
    methods = multiprocessing.get_all_start_methods()
    # A forked process need not import everything again.
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    pool = ProcessPoolExecutor(jobs or usable_cores(), context, _begin, (prepare,))
    try:
        # The pool is up before the progress line starts its thread: forking and threads do not go together.
        yield from _with_progress(pool.map(function, items, chunksize=_CHUNK), len(items), label)
    except BrokenProcessPool:
        raise DataError(
            "a process that reads files was killed, most often because memory ran out; wanted fewer of them: --jobs 1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(prepare: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    if prepare is not None:
        prepare()


def _with_progress(results: Iterable[Result], total: int, label: str) -> Iterator[Result]:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("left"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield from bar.track(results, total=total)
        return
    started = said = time.monotonic()
    for number, result in enumerate(results, 1):
        yield result
        now = time.monotonic()
        if now - said > _SECONDS_BETWEEN_LINES and number < total:
            said = now
            left = (now - started) / number * (total - number)
            print(f"{label}: {number} of {total}, {left:.0f} s left", file=sys.stderr, flush=True)
