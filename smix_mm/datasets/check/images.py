"""Images: what stands in their headers, whether their end is there, and whether they decode."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from .findings import Problem

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_TAIL = 4096
_EXIF_ORIENTATION = 0x0112
# libjpeg and libpng say on stderr alone that data is lost; bytes too many are harmless.
_LOST = (b"Corrupt JPEG data", b"Premature end", b"libpng error")
_HARMLESS = b"extraneous bytes"


class Look(NamedTuple):
    """What was seen of an image.

    Attributes:
        problems: what is wrong with it.
        size: (width, height) in pixels as the training reads it; None where it cannot be known.
        turned: whether its EXIF orientation exchanges width and height.
        length: the file's, in bytes; 0 where it cannot be read.
        digest: hash of the decoded pixels, only after decoding.
    """

    problems: list[Problem]
    size: tuple[int, int] | None = None
    turned: bool = False
    length: int = 0
    digest: str = ""


def check_image(path: str, *, decode: bool = False, follow_exif: bool = True) -> Look:
    """Check an image file.

    Without ``decode``, the header and the last bytes are read: the end-of-image marker of a JPEG, the last
    chunk of a PNG. What is then still not seen is damage in the middle of the data.

    Args:
        path: the file.
        decode: decode it as the training does, with OpenCV.
        follow_exif: whether the training turns images by their EXIF orientation, as mmcv does by default.

    Returns:
        What was seen. Nothing is raised for any content.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        return Look([Problem("missing-image", _missing(path, error))])
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
        return Look([Problem("unreadable-image", "is no regular file")])
    if status.st_size == 0:
        return Look([Problem("unreadable-image", "is empty")])
    try:
        with open(path, "rb") as file:
            if not _has_end(file, status.st_size):
                detail = f"ends after {status.st_size} bytes without its end marker"
                return Look([Problem("truncated-image", detail)], length=status.st_size)
            file.seek(0)
            header = None if decode else _header(file, follow_exif)
            if header is not None:
                return Look([], *header, status.st_size)
            file.seek(0)
            return _decoded(file.read(), follow_exif)
    except OSError as error:
        return Look([Problem("unreadable-image", f"cannot be read: {error.strerror or error}")])


def is_whole(content: bytes) -> bool:
    """Whether the end of a JPEG or PNG is there; True for other formats, of which this is not known."""
    if content.startswith(_JPEG):
        return content.rstrip(b"\0").endswith(b"\xff\xd9") or _jpeg_ends(content)
    return not content.startswith(_PNG) or b"IEND" in content[-_TAIL:] or b"IEND" in content


def _has_end(file: IO[bytes], length: int) -> bool:
    start = file.read(len(_PNG))
    if not start.startswith((_JPEG, _PNG)):
        return True
    file.seek(max(0, length - _TAIL))
    tail = file.read()
    if tail.rstrip(b"\0").endswith(b"\xff\xd9") if start.startswith(_JPEG) else b"IEND" in tail:
        return True
    file.seek(0)
    return is_whole(file.read())


def _jpeg_ends(content: bytes) -> bool:
    """Whether an end marker comes after the image's own data, as where a camera appends something.

    Segments are stepped over, because an embedded preview has an end marker of its own.
    """
    position = 2
    while (position := content.find(b"\xff", position)) >= 0 and position + 2 <= len(content):
        marker = content[position + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF:
            position += 1
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # stuffed byte, restart, start: no length follows
            position += 2
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return False


def _header(file: IO[bytes], follow_exif: bool) -> tuple[tuple[int, int], bool] | None:
    """Size and whether EXIF turned it, or None where Pillow does not know the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                width, height = image.size
                # Pillow turns TIFF by itself.
                exif = "exif" in image.info and image.format != "TIFF" and follow_exif
                turned = exif and image.getexif().get(_EXIF_ORIENTATION) in (5, 6, 7, 8)
    except Exception:  # a broken header can raise anything; OpenCV then decides
        return None
    return ((height, width) if turned else (width, height)), bool(turned)


def _decoded(content: bytes, follow_exif: bool) -> Look:
    import cv2
    import numpy as np

    flag = cv2.IMREAD_COLOR if follow_exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    _complaints()
    image = None
    with suppress(cv2.error, MemoryError):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    complaint = _complaints()
    if image is None:
        return Look([Problem("unreadable-image", complaint or "OpenCV cannot decode it")], length=len(content))
    height, width = image.shape[:2]
    digest = hashlib.blake2b(f"{width}x{height}".encode() + image.tobytes(), digest_size=20).hexdigest()
    problems = [Problem("damaged-image", complaint)] if complaint else []
    return Look(problems, (width, height), _turned(content) if follow_exif else False, len(content), digest)


def _turned(content: bytes) -> bool:
    import io

    header = _header(io.BytesIO(content), True)
    return bool(header and header[1])


_stderr: list[IO[bytes]] = []


def catch_complaints() -> None:
    """Send this process's stderr to a file, so that what C libraries say there about an image is not lost.

    For processes that do nothing but check images.
    """
    import tempfile

    _stderr[:] = [tempfile.TemporaryFile()]  # noqa: SIM115
    os.dup2(_stderr[0].fileno(), 2)


def _complaints() -> str:
    """What decoders said since the last call of data that is lost."""
    if not _stderr:
        return ""
    # The place to write next is shared with fd 2, so what was read is cut off instead of stepped over.
    log = _stderr[0].fileno()
    text = os.pread(log, os.fstat(log).st_size, 0)
    os.ftruncate(log, 0)
    os.lseek(log, 0, os.SEEK_SET)
    lost = [line for line in text.splitlines() if line.startswith(_LOST) and _HARMLESS not in line]
    return lost[0].decode("ascii", "replace") if lost else ""


def _missing(path: str, error: Exception) -> str:
    stem = Path(path)
    for suffix in (".JPG", ".jpeg", ".JPEG", ".png"):
        with suppress(OSError, ValueError):
            if os.path.exists(stem.with_suffix(suffix)):
                return f"is not there, but {stem.with_suffix(suffix).name} is"
    if isinstance(error, FileNotFoundError):
        return "is not there"
    return f"cannot be reached: {getattr(error, 'strerror', None) or error}"
