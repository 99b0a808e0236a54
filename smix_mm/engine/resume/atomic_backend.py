"""File backends for mmengine that leave only complete files, even if the process is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Collection

from mmengine.fileio import LocalBackend, register_backend

from ...utils.files import atomic_path

ATOMIC_FILES = "smix_whole_files"


class AtomicBackend(LocalBackend):
    """mmengine's local backend with atomic writes."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a temporary file, sync it, and rename it to ``filepath``."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)


register_backend(ATOMIC_FILES, AtomicBackend, force=True)


class DeferredDeletes:
    """A file backend that delays the removal of files until their replacements are complete.

    Args:
        backend: A file backend of mmengine.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.queue: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, filepath: str | Path) -> None:
        """Queue a file for removal."""
        self.queue.append(str(filepath))

    def remove_now(self, keep: Collection[str | None] = ()) -> None:
        """Remove the queued files, except those in ``keep``, which were written again since."""
        queue, self.queue = self.queue, []
        for path in queue:
            if path not in keep:
                self.backend.remove(path)
