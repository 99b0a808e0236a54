"""What a study shows while it works: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import Callable, Protocol

_SECONDS_BETWEEN_LINES = 10
_PROGRESS = re.compile(r"((?:Epoch|Iter)\(\w+\).*)")


class View(Protocol):
    """What shows how far a study is; its methods may be called from several threads."""

    def say(self, text: str) -> None:
        """Something that stays to be read."""

    def watch(self, run: str, line: str) -> None:
        """A line of output of a run that goes on."""

    def state(self, text: str) -> None:
        """How many runs are done, and the time left."""

    def ended(self, run: str) -> None:
        """A run goes on no longer."""

    def close(self) -> None:
        """Nothing more comes."""


def open_view(title: str) -> View:
    """A live view where there is a terminal, else a plain one."""
    return _LiveView(title) if sys.stdout.isatty() else PlainView()


def progress_of(line: str) -> str | None:
    """The part of a training's log line that tells how far it is, or None."""
    found = _PROGRESS.search(line)
    return " ".join(found.group(1).split()) if found else None


class PlainView:
    """Lines; those that tell progress only now and then."""

    def __init__(self, write: Callable[[str], None] | None = None, seconds: float = _SECONDS_BETWEEN_LINES) -> None:
        self._write = write or (lambda text: print(text, flush=True))
        self._seconds = seconds
        self._shown: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def watch(self, run: str, line: str) -> None:
        text = progress_of(line)
        with self._lock:
            now = time.monotonic()
            if text is not None and now - self._shown.setdefault(run, now) >= self._seconds:
                self._shown[run] = now
                self._write(f"  {run}: {text}"[:150])

    def state(self, text: str) -> None:
        self.say(text)

    def ended(self, run: str) -> None:
        with self._lock:
            self._shown.pop(run, None)

    def close(self) -> None:
        pass


class _LiveView:
    """A table of what runs now under the lines that stay."""

    def __init__(self, title: str) -> None:
        from rich.live import Live

        self._title, self._state, self._lock = title, "", threading.Lock()
        self._running: dict[str, str] = {}
        self._live = Live(refresh_per_second=4, transient=True)
        self._live.start()

    def _draw(self) -> None:
        from rich.table import Table

        table = Table(title=self._title, caption=self._state, title_justify="left", caption_justify="left")
        table.add_column("running")
        table.add_column("how far")
        for run, text in self._running.items():
            table.add_row(run, text)
        self._live.update(table)

    def say(self, text: str) -> None:
        with self._lock:
            self._live.console.print(text, markup=False, highlight=False)

    def watch(self, run: str, line: str) -> None:
        text = progress_of(line)
        with self._lock:
            self._running[run] = text if text is not None else self._running.get(run, "starting")
            self._draw()

    def state(self, text: str) -> None:
        with self._lock:
            self._state = text
            self._draw()

    def ended(self, run: str) -> None:
        with self._lock:
            self._running.pop(run, None)
            self._draw()

    def close(self) -> None:
        self._live.stop()
