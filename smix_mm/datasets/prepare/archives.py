"""Extraction of archives that are not trusted."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Iterable, Iterator, Tuple

from ...utils.errors import DataError
from ...utils.progress import open_with_progress

Member = Tuple[str, IO[bytes]]
# What damaged headers and contents raise, among them NotImplementedError for a compression that is not known.
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, ValueError, LookupError, OverflowError, struct.error),
)


def extract(archive: Path, folder: Path) -> None:
    """Extract a tar archive, compressed or not, or a zip archive, into a new folder.

    Unlike ``torchvision.datasets.utils.extract_archive``, it refuses links, devices and paths outside the folder,
    does not depend on the archive's file name, and keeps neither owners, modes nor times.

    Raises:
        DataError: the archive is damaged or incomplete, or has a member that is refused.
    """
    with open_archive(archive) as members:
        write_members(archive, members, folder)


@contextmanager
def open_archive(archive: Path) -> Iterator[Iterator[Member]]:
    """Iterate over the regular files of an archive, with progress: name and content, to be read in turn.

    Raises:
        DataError: see :func:`extract`; also if the archive turns out to be damaged inside the ``with`` block.
    """
    try:
        with open_with_progress(archive, f"extracting {archive.name}") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as opened:
                    yield _zip_members(archive, opened)
            else:
                file.seek(0)
                with tarfile.open(fileobj=file, mode="r:*") as tar:
                    yield tar_members(archive, tar)
                    while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                        pass  # the checksum of a compressed archive is at its end
    except DataError:
        raise
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk; damaged bzip2 has no number
            raise
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(f"{archive} is damaged or incomplete ({reason}); download it again") from None


def tar_members(archive: Path, tar: tarfile.TarFile) -> Iterator[Member]:
    """The regular files of an open tar archive, see :func:`open_archive`."""
    for member in tar:
        content = tar.extractfile(member) if member.isreg() else None
        if content is not None:
            yield member.name, content
        elif not member.isdir():
            link = member.issym() or member.islnk()
            raise _refusal(archive, member.name, f"is a {'link' if link else 'device or pipe'}")


def _zip_members(archive: Path, opened: zipfile.ZipFile) -> Iterator[Member]:
    for member in opened.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir():
            continue
        if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise _refusal(archive, member.filename, "is a link or a device, or encrypted")
        with opened.open(member) as content:
            yield member.filename, content


def write_members(archive: Path, members: Iterable[Member], folder: Path) -> None:
    """Write the members of an archive into a folder, which has to be new, so that no link in it redirects a file.

    Raises:
        DataError: the name of a member is a path outside the folder.
    """
    for name, content in members:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
            raise _refusal(archive, name, "leads out of the folder")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)


def _refusal(archive: Path, name: str, what: str) -> DataError:
    advice = "and is not extracted; download the archive from its publisher"
    return DataError(f"{archive} holds {name!r}, which {what}, {advice}")
