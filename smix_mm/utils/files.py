"""Atomic writes, hashes of files, and the logs of trainings."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator

from .errors import UsageError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on leaving, sync it to the disk and rename it to ``path``.

    If the block raises, the temporary file is removed and ``path`` is unchanged. Missing folders are created.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # With the suffix, because some writers choose a format by it.
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that renames inside it survive a power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_output(out: str | Path, *inputs: str | Path) -> None:
    """Raise a UsageError if the file to write is one of the inputs, under any name of it."""
    for given in inputs:
        if Path(out).exists() and Path(given).exists() and Path(out).samefile(given):
            raise UsageError(f"the output should be another file than the input {given}, got {out}")


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Order files from the newest to the oldest.

    Files whose names differ in their last number only, such as ``epoch_9.pth`` and ``epoch_10.pth``, are ordered by
    it, because a copy has another time; different kinds of names are ordered by the time of the last change.
    """
    ordered = sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    parts = {path: re.fullmatch(r"(.*?)(\d*)(\D*)", path.stem) for path in ordered}
    kinds: dict[tuple[str, str], list[Path]] = {}
    for path, part in parts.items():
        kinds.setdefault((part[1], part[3]), []).append(path)  # type: ignore[index]
    # Each kind keeps its places in the order by time.
    numbered = {kind: iter(sorted(found, key=lambda path: -int(parts[path][2] or 0))) for kind, found in kinds.items()}  # type: ignore[index]
    return [next(numbered[part[1], part[3]]) for part in parts.values()]  # type: ignore[index]


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON atomically, with sorted keys, so that equal content gives equal bytes."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def save_figure(figure: Any, path: str | Path, **options: Any) -> None:
    """Write a matplotlib figure atomically, with options of its ``savefig``.

    Raises:
        UsageError: The suffix of ``path`` names no image format.
    """
    formats = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in formats:
        raise UsageError(f"the suffix of an image file should be one of {', '.join(sorted(formats))}, got {path}")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, **options)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_hash(content: Any) -> str:
    """SHA-256 of the JSON text of ``content`` with sorted keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def log_entries(work_dir: Path) -> Iterator[dict[str, Any]]:
    """Entries with a step of every log in a work dir, in the order in which they were written."""
    for log in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that was being written when a run was killed
            if isinstance(entry, dict) and "step" in entry:
                yield entry
