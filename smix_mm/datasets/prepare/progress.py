"""How far a transfer is and how long it will take, on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any, BinaryIO

_SECONDS_BETWEEN_LINES = {True: 0.2, False: 10.0}  # on a terminal, elsewhere


class Progress:
    """A line about bytes: rewritten on a terminal, now and then a new one elsewhere.

    Args:
        label: what the line begins with.
        total: bytes in all; None where it is not known.
        done: bytes done before.
    """

    def __init__(self, label: str, total: int | None, done: int = 0) -> None:
        self.label = label
        self.total = total
        self.before = self.done = done
        self.started = self.said = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def reach(self, done: int) -> None:
        """Say that ``done`` bytes are done, those before included."""
        self.done = done
        now = time.monotonic()
        if now - self.said < _SECONDS_BETWEEN_LINES[self.terminal]:
            return
        self.said = now
        line = f"{self.label}: {self._amount()}{self._time_left(now)}"
        print(
            f"\r\033[K{line}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True
        )

    def _amount(self) -> str:
        done = f"{self.done / 1e6:,.1f}"
        return f"{done} MB" if self.total is None else f"{done} of {self.total / 1e6:,.1f} MB"

    def _time_left(self, now: float) -> str:
        new = self.done - self.before
        if not self.total or new <= 0:
            return ""
        seconds = (now - self.started) / new * max(0, self.total - self.done)
        minutes, seconds = divmod(int(seconds), 60)
        return f", {minutes} min {seconds} s left" if minutes else f", {seconds} s left"


class WatchedFile:
    """A file read in order, its position shown as progress. Only what archives are read with is there."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self.file = file
        self.progress = progress

    def read(self, size: int = -1) -> bytes:
        """Read, and show where the file stands."""
        content = self.file.read(size)
        self.progress.reach(self.file.tell())
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
