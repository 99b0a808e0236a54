"""Progress of a study on the screen: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import Any, Callable

_PROGRESS = re.compile(r"((?:Epoch|Iter)\(\w+\).*)")


def parse_progress(line: str) -> str | None:
    """The epoch or iteration and the figures of a training's log line, or None for other lines."""
    found = _PROGRESS.search(line)
    return " ".join(found.group(1).split()) if found else None


class View:
    """Shows the progress of a study; its methods may be called from several threads.

    Args:
        title: of the table.
        write: prints a text. Defaults to standard output, with the table if that is a terminal.
        seconds: between two lines of one run's progress without a table.
    """

    def __init__(self, title: str = "", write: Callable[[str], None] | None = None, seconds: float = 10) -> None:
        self._title, self._summary, self._seconds = title, "", seconds
        self._write = write or (lambda text: print(text, flush=True))
        self._shown: dict[str, float] = {}  # when a line of the run was printed
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live: Any = None
        if write is None and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(refresh_per_second=4, transient=True)
            self._live.start()

    def log(self, text: str) -> None:
        """Print a message that stays on the screen."""
        with self._lock:
            if self._live is None:
                self._write(text)
            else:
                self._live.console.print(text, markup=False, highlight=False)

    def update(self, run: str, line: str) -> None:
        """Show the progress of a run, given a line of its output."""
        text, now = parse_progress(line), time.monotonic()
        with self._lock:
            self._running[run] = text or self._running.get(run, "starting")
            due = text is not None and now - self._shown.setdefault(run, now) >= self._seconds
            if self._live is None and due:
                self._shown[run] = now
                self._write(f"  {run}: {text}"[:150])
            self._draw()

    def finish(self, run: str) -> None:
        """Remove a run that has ended."""
        with self._lock:
            self._running.pop(run, None)
            self._shown.pop(run, None)
            self._draw()

    def summarize(self, text: str) -> None:
        """Show how many runs are finished, and the time left."""
        if self._live is None:
            return self.log(text)
        with self._lock:
            self._summary = text
            self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            from rich.table import Table

            table = Table(title=self._title, caption=self._summary, title_justify="left", caption_justify="left")
            table.add_column("running")
            table.add_column("progress")
            for run, text in self._running.items():
                table.add_row(run, text)
            self._live.update(table)

    def close(self) -> None:
        """End the view."""
        if self._live is not None:
            self._live.stop()
