"""Archives: fetched with what came before kept, found where the user put them, and checked by their md5."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Iterator, Sequence
from urllib.parse import urlsplit

from ...utils.errors import DataError
from ...utils.files import sync_folder
from .progress import Progress

SECONDS_WITHOUT_AN_ANSWER = 10
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """An archive as its publisher gives it out.

    Attributes:
        name: of the file.
        md5: of the file, in hexadecimal; None where none is published.
        url: where it is fetched; None where its terms want a person to fetch it.
        by_hand: what that person has to do.
    """

    name: str
    md5: str | None = None
    url: str | None = None
    by_hand: str = ""


def get_archive(archive: Archive, sources: Sequence[Path], downloads: Path, alone: bool) -> Path:
    """Where a whole archive lies; it is fetched if it is nowhere.

    Args:
        archive: which.
        sources: files, and folders that hold files, that the user named.
        downloads: where fetched archives go, and are looked for.
        alone: whether it is the only archive wanted, so that a single file named is it, whatever its name.

    Raises:
        DataError: it is broken, cannot be fetched, or has to be fetched by hand.
    """
    path = _find(archive, sources, downloads, alone)
    if path is not None:
        if archive.md5 is not None and (found := md5_of(path)) != archive.md5:
            raise DataError(
                f"{path} has {path.stat().st_size} bytes and the md5 {found}, wanted {archive.md5}: it is broken or "
                f"not whole, or another file than {archive.name}; fetch it again"
            )
        return path
    if archive.url is None:
        raise DataError(f"{archive.name} is not in {downloads} nor named with --from, and {archive.by_hand}")
    fetch(archive, downloads / archive.name)
    return downloads / archive.name


def _find(archive: Archive, sources: Sequence[Path], downloads: Path, alone: bool) -> Path | None:
    if alone and len(sources) == 1 and sources[0].is_file():
        return sources[0]
    for source in (*sources, downloads):
        path = source / archive.name if source.is_dir() else source
        if path.name == archive.name and path.is_file():
            return path
    return None


def fetch(archive: Archive, path: Path) -> None:
    """Fetch an archive to ``path``, which is there whole or not at all.

    What has come stands in ``<path>.part`` and is gone on from, where the server can. Nothing is tried
    twice: a machine without a network hears of it at once.

    Raises:
        DataError: no connection, an error of the server, a transfer that ended early, or a wrong md5.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    response = _ask(archive, part.stat().st_size if part.is_file() else 0)
    if response is not None:
        with response:
            _receive(response, part, archive.name)
    if archive.md5 is not None and (found := md5_of(part)) != archive.md5:
        part.unlink()
        raise DataError(
            f"what came from {archive.url} has the md5 {found}, wanted {archive.md5}: it was damaged on its way or is "
            f"another file now, and was deleted; {_instead(archive)}"
        )
    os.replace(part, path)
    sync_folder(path.parent)


def _ask(archive: Archive, have: int) -> HTTPResponse | None:
    """The server's answer to a request for what is not here yet; None where nothing is left to come."""
    assert archive.url is not None
    host = urlsplit(archive.url).netloc
    headers = {"User-Agent": "smix_mm", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(archive.url, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=SECONDS_WITHOUT_AN_ANSWER)
    except urllib.error.HTTPError as error:
        # Asked for what lies behind its last byte: all of it is here, or the md5 will tell.
        if have and error.code == 416:
            return None
        raise DataError(f"{host} answers {error.code} ({error.reason}) to {archive.url}; {_instead(archive)}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error) or type(error).__name__
        raise DataError(f"no connection to {host} ({reason}), so nothing is fetched; {_instead(archive)}") from None


def _instead(archive: Archive) -> str:
    return f"run this again later, or fetch {archive.name} elsewhere and name it with --from"


def _receive(response: HTTPResponse, part: Path, name: str) -> None:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    # A server that cannot go on within a file sends it from its beginning.
    have = int(start[1]) if response.status == 206 and start else 0
    length = response.headers.get("Content-Length")
    total = None if length is None else have + int(length)
    with open(part, "r+b" if have else "wb") as file, Progress(f"fetching {name}", total, have) as progress:
        file.seek(have)
        for block in _blocks(response):
            file.write(block)
            progress.reach(file.tell())
        came = file.tell()
    if total is not None and came < total:
        raise DataError(f"the transfer of {name} ended after {came} of {total} bytes, which are kept: run this again")


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """The content as far as it comes; whether that is all of it, its length tells."""
    with suppress(OSError, HTTPException):
        while block := response.read1(_BLOCK):  # what is there, not waiting for a full block
            yield block


def md5_of(path: Path) -> str:
    """md5 of a file, in hexadecimal: no seal against forgery, but what the publishers give."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, Progress(f"checking {path.name}", path.stat().st_size) as progress:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress.reach(file.tell())
    return digest.hexdigest()
