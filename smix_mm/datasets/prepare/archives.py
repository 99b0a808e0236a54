"""Unpacking archives that nobody has to trust."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Iterator

from ...utils.errors import DataError
from .progress import Progress, WatchedFile


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, or a zip archive.

    Regular files are written with this process's own rights; owners, modes and times stay behind. The
    folder should be new, so that nothing that lies there can lead a file elsewhere.

    Args:
        archive: the file.
        folder: where to.

    Raises:
        DataError: the archive is broken, or holds a name outside of the folder, a link, or a device.
    """
    with open_members(archive) as members:
        for name, content in members:
            write_member(content, safe_path(archive, name, folder))


@contextmanager
def open_members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The regular files of an archive in order: each name, and its content while it is its turn.

    Raises:
        DataError: see :func:`unpack`; also where the archive turns out to be broken while it is read.
    """
    size = archive.stat().st_size
    with broken_is_said(archive), open(archive, "rb") as raw, Progress(f"unpacking {archive.name}", size) as progress:
        if zipfile.is_zipfile(raw):
            raw.seek(0)
            with zipfile.ZipFile(raw) as opened:
                yield _zip_members(archive, opened, progress)
        else:
            raw.seek(0)
            with tarfile.open(fileobj=WatchedFile(raw, progress), mode="r:*") as tar:
                yield tar_members(archive, tar)


@contextmanager
def broken_is_said(archive: Path) -> Iterator[None]:
    """Turn the errors of Python's archive modules into one sentence."""
    # Python's zipfile answers a damaged header that names an unknown compression with NotImplementedError.
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(
            f"{archive} is broken or not whole ({reason}); wanted the whole archive: fetch it again"
        ) from None


def tar_members(archive: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    """The regular files of an open tar archive, see :func:`open_members`."""
    for member in tar:
        if member.isdir():
            continue
        if not member.isreg():
            kind = "link" if member.issym() or member.islnk() else "device or pipe"
            raise _refused(archive, member.name, f"is a {kind}")
        content = tar.extractfile(member)
        assert content is not None
        yield member.name, content


def _zip_members(archive: Path, opened: zipfile.ZipFile, progress: Progress) -> Iterator[tuple[str, IO[bytes]]]:
    done = 0
    for member in opened.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir():
            continue
        if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise _refused(archive, member.filename, "is a link or a device, or encrypted")
        with opened.open(member) as content:
            yield member.filename, content
        done += member.compress_size
        progress.reach(done)


def safe_path(archive: Path, name: str, folder: Path) -> Path:
    """Where in ``folder`` a member belongs.

    Raises:
        DataError: its name leads out of the folder.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
        raise _refused(archive, name, "leads out of the folder")
    return folder.joinpath(*parts)


def write_member(content: IO[bytes], path: Path) -> None:
    """Write a member's content to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)


def _refused(archive: Path, name: str, what: str) -> DataError:
    return DataError(
        f"{archive} holds {name!r}, which {what}; no archive of images needs that, so it is not unpacked: "
        "fetch it from its publisher"
    )
