"""Archives: found among the user's files or downloaded, verified by their MD5, and extracted."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import struct
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, Iterator, Sequence
from urllib.parse import urlsplit

from ...utils.errors import DataError
from ...utils.files import sync_folder
from ...utils.progress import Progress, open_with_progress

TIMEOUT = 10.0
"""Seconds to wait for a server."""
_BLOCK = 1 << 20
_ADVICE = "run this again later, or download {} elsewhere and name it with --from"
# What damaged headers and contents raise; of a compression that it does not know, zipfile raises a RuntimeError.
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError),
    *(ValueError, LookupError, OverflowError, struct.error),
)


@dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
        name: file name.
        md5: MD5 in hexadecimal; None if none is published.
        url: address; None if its terms require that the user downloads it.
        by_hand: what the user has to do in this case.
    """

    name: str
    md5: str | None = None
    url: str | None = None
    by_hand: str = ""

    def wrong_md5(self, path: Path) -> str | None:
        """The MD5 of a file if it is not that of the archive."""
        from torchvision.datasets.utils import calculate_md5

        found = None if self.md5 is None else calculate_md5(path)
        return None if found == self.md5 else found


def get_archive(archive: Archive, sources: Sequence[Path], downloads: Path, single: bool) -> Path:
    """Return the path of a verified archive in ``sources``, files and folders, or ``downloads``; else download it.

    ``single``: it is the only archive needed, so that a single file in ``sources`` may have any name.

    Raises:
        DataError: it is damaged, cannot be downloaded, or has to be downloaded by hand.
    """
    paths = [source / archive.name if source.is_dir() else source for source in (*sources, downloads)]
    found = [path for path in paths if path.name == archive.name and path.is_file()]
    if single and len(sources) == 1 and sources[0].is_file():
        found = [sources[0]]
    if not found and archive.url is None:
        raise DataError(f"{archive.name} is neither in {downloads} nor named with --from, and {archive.by_hand}")
    if not found:
        download(archive, downloads / archive.name)
        return downloads / archive.name
    if wrong := archive.wrong_md5(found[0]):
        raise DataError(
            f"{found[0]} ({found[0].stat().st_size} bytes) should have the MD5 {archive.md5} of {archive.name}, got "
            f"{wrong}: it is damaged, incomplete or another file; download it again"
        )
    return found[0]


def download(archive: Archive, path: Path) -> None:
    """Download an archive to ``path``, where it appears when it is complete and verified.

    Unlike ``torchvision.datasets.utils.download_url``, it resumes an interrupted download, if the server supports
    this, from ``<path>.part``, waits at most :data:`TIMEOUT` for the server, and tries once, over the address given.

    Raises:
        DataError: no connection, an error of the server, an interrupted download, or a wrong MD5.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    response = _open(archive, part.stat().st_size if part.is_file() else 0)
    if response is not None:
        with response:
            _receive(response, part, archive.name)
    if found := archive.wrong_md5(part):
        part.unlink()
        raise DataError(
            f"the download of {archive.url} should have the MD5 {archive.md5}, got {found}: it is damaged or another "
            f"file and was deleted; {_ADVICE.format(archive.name)}"
        )
    os.replace(part, path)
    sync_folder(path.parent)


def _open(archive: Archive, start: int) -> HTTPResponse | None:
    """Request the file from byte ``start`` on; None if there are no more bytes."""
    assert archive.url is not None
    headers = {"User-Agent": "smix_mm", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        return urllib.request.urlopen(urllib.request.Request(archive.url, headers=headers), timeout=TIMEOUT)
    except (OSError, HTTPException) as error:
        host = urlsplit(archive.url).netloc
        if not isinstance(error, urllib.error.HTTPError):
            why = f"no connection to {host} ({getattr(error, 'reason', error) or type(error).__name__})"
        elif start and error.code == 416:  # start is behind the last byte; the MD5 shows whether the file is right
            return None
        else:
            why = f"{host} returned {error.code} ({error.reason}) for {archive.url}"
        raise DataError(f"{why}; {_ADVICE.format(archive.name)}") from None


def _receive(response: HTTPResponse, part: Path, name: str) -> None:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    # A server that does not support ranges sends the file from its beginning.
    done = int(start[1]) if response.status == 206 and start else 0
    length = response.headers.get("Content-Length")
    total = None if length is None else done + int(length)
    progress = Progress(f"downloading {name}", total, done, in_bytes=True)
    with open(part, "r+b" if done else "wb") as file, progress:
        file.seek(done)
        while block := _next_block(response):
            file.write(block)
            done += len(block)
            progress.update(done)
    if total is not None and done < total:
        raise DataError(f"the download of {name} ended after {done} of {total} bytes; run this again to resume it")


def _next_block(response: HTTPResponse) -> bytes:
    with suppress(OSError, HTTPException):  # an interrupted connection shows in the number of bytes
        return response.read1(_BLOCK)  # what has arrived, without waiting for a full block
    return b""


@contextmanager
def open_archive(archive: Path) -> Iterator[BinaryIO]:
    """Open an archive, with progress; errors of a damaged one in the ``with`` block become a DataError."""
    try:
        with open_with_progress(archive, f"extracting {archive.name}") as file:
            yield file
    except DataError:
        raise
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk; damaged bzip2 has no number
            raise
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(f"{archive} is damaged, incomplete or not safe ({reason}); download it again") from None


def extract_tar(tar: tarfile.TarFile, folder: Path) -> None:
    """Extract the files and folders of an open tar archive: no owners, no links, nothing outside the folder."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError("this Python cannot extract archives safely; use 3.9.17, 3.10.12, 3.11.4 or newer")
    tar.extractall(folder, filter=_files_only)
    while tar.fileobj is not None and tar.fileobj.read(1 << 20):
        pass  # the checksum of a compressed archive is at its end


def _files_only(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    # By links within the folder, long paths can lead outside of it in releases of Python before June 2025.
    if not (member.isreg() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is a link or a device")
    return tarfile.data_filter(member, folder)


def extract(archive: Path, folder: Path) -> None:
    """Extract a tar archive, compressed or not, or a zip archive, recognised by its content, into a new folder.

    Raises:
        DataError: the archive is damaged or incomplete, or has a member that :mod:`tarfile` refuses.
    """
    with open_archive(archive) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as opened:
                opened.extractall(folder)
        else:
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:*") as tar:
                extract_tar(tar, folder)
