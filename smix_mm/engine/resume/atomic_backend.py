"""File backends for mmengine that leave whole files behind, whenever the process dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Collection

from mmengine.fileio import LocalBackend, register_backend

from ...utils.files import atomic_path

ATOMIC_FILES = "smix_whole_files"


class AtomicBackend(LocalBackend):
    """mmengine's local backend, whose files appear under their names only when they are complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, sync them, and rename the file to ``filepath``."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)


register_backend(ATOMIC_FILES, AtomicBackend, force=True)


class DeferredDeletes:
    """A file backend that puts removals off until it is told that what replaces the files is complete.

    Args:
        backend: a file backend of mmengine.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.queue: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, filepath: str | Path) -> None:
        """Note a file to be removed."""
        self.queue.append(str(filepath))

    def remove_now(self, keep: Collection[str | None] = ()) -> None:
        """Remove what was noted, but for ``keep``: names that have been written anew since."""
        queue, self.queue = self.queue, []
        for path in queue:
            if path not in keep:
                self.backend.remove(path)
