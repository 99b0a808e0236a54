"""Folders that appear under their name when they are complete."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterable, Iterator

from ..utils.errors import DataError
from ..utils.lock import hold

_SUFFIX = ".unpacking"


@contextmanager
def new_folder(out: Path, sources: Iterable[str | Path]) -> Iterator[Path]:
    """A folder beside ``out`` to fill, which becomes ``out`` on leaving, unless the block raises.

    Raises:
        DataError: ``out`` exists and is not an empty folder, or it is inside a source.
    """
    for source in sources:
        # Compared as files, because of links and of file systems that ignore case.
        above = [place for place in (out, *out.parents) if place.exists()]
        if os.path.exists(source) and any(place.samefile(source) for place in above):
            raise DataError(f"{out} is inside the data root {source}; name a folder outside of it")
    if os.path.lexists(out) and (out.is_symlink() or not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} already exists; name a new folder")
    with temporary_folder(out) as work:
        yield work
        # After a power loss, an empty file would be valid in some formats.
        os.sync()
        if out.exists():
            out.rmdir()
        work.rename(out)


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """A new folder beside ``target`` in which it is built; it is deleted in the end, so move the result out of it.

    Raises:
        DataError: ``target`` is a file, or a link to nothing; or another process builds it.
    """
    if os.path.lexists(target) and not target.is_dir():
        kind = f"a link to {os.readlink(target)}, which does not exist" if target.is_symlink() else "a file"
        raise DataError(f"{target} should be a folder or not exist, got {kind}; remove it, or name another place")
    folder = target.with_name(f".{target.name}{_SUFFIX}")
    with hold(folder.with_name(f"{folder.name}.lock"), f"another process builds {target}", error=DataError):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """Delete what a killed process has left in ``folder`` after it had moved the result to its place."""
    for path in folder.glob(f".*{_SUFFIX}"):
        if path.with_name(path.name[1 : -len(_SUFFIX)]).exists():
            shutil.rmtree(path, ignore_errors=True)
