"""Recording which files of this package a process imports, each with the hash that it had at that time."""

from __future__ import annotations

import sys
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, Iterable, Mapping

from .files import file_hash

VARIABLE = "SMIX_IMPORTED_CODE"
"""Environment variable that names the file to which a command line appends its record."""

_PACKAGE = Path(__file__).resolve().parents[1]
_NOT_RECORDED = "study/"  # executes trainings, but is not part of them


class _Recorder(MetaPathFinder):
    """Is asked for every module first and finds none, so that it sees each import."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}
        self.path: str | None = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        parts = name.split(".")
        if parts[0] != _PACKAGE.name:
            return
        place = _PACKAGE.joinpath(*parts[1:])
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        file = source.relative_to(_PACKAGE).as_posix()
        if not file.startswith(_NOT_RECORDED) and file not in self.hashes and source.is_file():
            self.hashes[file] = file_hash(source)
            self.write([file])

    def write(self, files: Iterable[str]) -> None:
        if self.path is not None:  # in one write, because several processes may append
            with open(self.path, "a", encoding="utf-8") as record:
                # Each line begins with a line break, because a kill may have cut the one before.
                record.write("".join(f"\n{self.hashes[file]}  {file}\n" for file in files))


_recorder = _Recorder()


def record_imports(path: str | None = None) -> dict[str, str]:
    """Record the files imported so far and all later ones, also in forked processes.

    Args:
        path: file to which a line with hash and name is appended at each import. Defaults to none.

    Returns:
        SHA-256 by file, relative to the package.
    """
    if _recorder not in sys.meta_path:
        for name in list(sys.modules):
            _recorder.find_spec(name)
        sys.meta_path.insert(0, _recorder)
    if path is not None:
        _recorder.path = path
        _recorder.write(_recorder.hashes)
    return _recorder.hashes


def read_imports(path: Path) -> dict[str, str]:
    """The hashes in a record by file; the text of a file that was recorded with different hashes is no hash."""
    hashes: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            digest, _, file = line.partition("  ")
            if file.endswith(".py"):  # unless a kill cut the line
                hashes[file] = digest if hashes.get(file, digest) == digest else "changed"
    return hashes


def changed_code(hashes: Mapping[str, str]) -> list[str]:
    """The recorded files that have another hash now, or no longer exist."""
    changed = []
    for file, digest in hashes.items():
        path = _PACKAGE / file
        if not path.is_file() or _hash(path, path.stat().st_mtime_ns) != digest:
            changed.append(file)
    return sorted(changed)


@cache
def _hash(path: Path, modified: int) -> str:
    return file_hash(path)
