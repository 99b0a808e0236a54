"""Progress of a study on the screen: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import Callable, Protocol

_SECONDS_BETWEEN_LINES = 10
_PROGRESS = re.compile(r"((?:Epoch|Iter)\(\w+\).*)")


class View(Protocol):
    """Shows the progress of a study; its methods may be called from several threads."""

    def log(self, text: str) -> None:
        """Print a message that stays on the screen."""

    def update(self, run: str, line: str) -> None:
        """Show the progress of a run, given a line of its output."""

    def summarize(self, text: str) -> None:
        """Show how many runs are finished, and the time left."""

    def finish(self, run: str) -> None:
        """Remove a run that has ended."""

    def close(self) -> None:
        """End the view."""


def open_view(title: str) -> View:
    """A live table on a terminal, else plain lines."""
    return _LiveView(title) if sys.stdout.isatty() else PlainView()


def parse_progress(line: str) -> str | None:
    """The epoch or iteration and the figures of a training's log line, or None for other lines."""
    found = _PROGRESS.search(line)
    return " ".join(found.group(1).split()) if found else None


class PlainView:
    """Prints lines; those with the progress of a run at intervals only.

    Args:
        write: prints a text. Defaults to standard output.
        seconds: between two lines of one run's progress. Default: 10.
    """

    def __init__(self, write: Callable[[str], None] | None = None, seconds: float = _SECONDS_BETWEEN_LINES) -> None:
        self._write = write or (lambda text: print(text, flush=True))
        self._seconds = seconds
        self._shown: dict[str, float] = {}
        self._lock = threading.Lock()

    def log(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def update(self, run: str, line: str) -> None:
        text = parse_progress(line)
        with self._lock:
            now = time.monotonic()
            if text is not None and now - self._shown.setdefault(run, now) >= self._seconds:
                self._shown[run] = now
                self._write(f"  {run}: {text}"[:150])

    def summarize(self, text: str) -> None:
        self.log(text)

    def finish(self, run: str) -> None:
        with self._lock:
            self._shown.pop(run, None)

    def close(self) -> None:
        pass


class _LiveView:
    """A table of the running runs below the messages."""

    def __init__(self, title: str) -> None:
        from rich.live import Live

        self._title, self._summary, self._lock = title, "", threading.Lock()
        self._running: dict[str, str] = {}
        self._live = Live(refresh_per_second=4, transient=True)
        self._live.start()

    def _draw(self) -> None:
        from rich.table import Table

        table = Table(title=self._title, caption=self._summary, title_justify="left", caption_justify="left")
        table.add_column("running")
        table.add_column("progress")
        for run, text in self._running.items():
            table.add_row(run, text)
        self._live.update(table)

    def log(self, text: str) -> None:
        with self._lock:
            self._live.console.print(text, markup=False, highlight=False)

    def update(self, run: str, line: str) -> None:
        text = parse_progress(line)
        with self._lock:
            self._running[run] = text if text is not None else self._running.get(run, "starting")
            self._draw()

    def summarize(self, text: str) -> None:
        with self._lock:
            self._summary = text
            self._draw()

    def finish(self, run: str) -> None:
        with self._lock:
            self._running.pop(run, None)
            self._draw()

    def close(self) -> None:
        self._live.stop()
