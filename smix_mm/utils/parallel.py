"""A function applied to many items in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Iterator, Sequence, TypeVar

from .errors import DataError
from .progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 32


def usable_cores() -> int:
    """Number of CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    pool = ProcessPoolExecutor(jobs or usable_cores(), context, _ignore_interrupts)
    try:
        # The processes start before the progress bar starts its thread: forking a process with threads is unsafe.
        yield from track(pool.map(function, items, chunksize=_CHUNK), label, len(items))
    except BrokenProcessPool:
        raise DataError(
            "a process that reads files was killed, most often because memory ran out; use fewer of them: --jobs 1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
