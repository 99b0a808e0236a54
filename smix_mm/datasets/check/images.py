"""Image files: their size, whether their end is there, and whether they decode."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import warnings
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, NamedTuple

from .findings import Finding, why_unreadable

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_TAIL = 4096
# What OpenCV can be built to read, and all formats; whether it does is asked with a file.
_READABLE = (
    ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pfm", ".pgm",
    ".pic", ".png", ".pnm", ".ppm", ".pxm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip
_SUFFIXES = (
    *_READABLE, ".arw", ".cr2", ".dcm", ".dng",
    ".eps", ".heic", ".heif", ".ico", ".j2k", ".jpx", ".jxl", ".jxr", ".nef", ".pdf", ".psd", ".raw", ".svg", ".tga",
)  # fmt: skip
_EXIF_ORIENTATION = 0x0112
# libjpeg and libpng report lost data on stderr alone; extraneous bytes are harmless.
_LOST = (b"Corrupt JPEG data", b"Premature end", b"libpng error")
_HARMLESS = b"extraneous bytes"


class ImageInfo(NamedTuple):
    """What a check found out about an image.

    Attributes:
        problems: what is wrong with it.
        size: (width, height) in pixels as the training reads it; None if unknown.
        rotated: whether its EXIF orientation exchanges width and height.
        length: length of the file in bytes; 0 if it cannot be read.
        digest: hash of the decoded pixels; empty if the image was not decoded.
    """

    problems: list[Finding]
    size: tuple[int, int] | None = None
    rotated: bool = False
    length: int = 0
    digest: str = ""


def has_image_suffix(path: str, readable: bool = False) -> bool:
    """Whether the extension is that of an image format, or of one that OpenCV can be built to read."""
    return os.path.splitext(path)[1].lower() in (_READABLE if readable else _SUFFIXES)


def check_image(path: str, *, decode: bool = False, follow_exif: bool = True) -> ImageInfo:
    """Check an image file.

    Without ``decode``, only the header and the last bytes are read: the end-of-image marker of a JPEG, the last
    chunk of a PNG. This does not find damage in the middle of the data.

    Args:
        path: the file.
        decode: decode it as the training does, with OpenCV.
        follow_exif: whether the training rotates images by their EXIF orientation, as mmcv does by default.

    Returns:
        Problems and properties. No content raises an error.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        return ImageInfo([Finding("missing-image", path, _why_missing(path, error))])
    length = status.st_size
    if not stat.S_ISREG(status.st_mode) or length == 0:  # opening a pipe would wait for ever
        detail = "is empty" if stat.S_ISREG(status.st_mode) else "is not a regular file"
        return ImageInfo([Finding("unreadable-image", path, detail)])
    try:
        with open(path, "rb") as file:
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                if not is_whole(content):
                    detail = f"ends after {length} bytes without its end marker"
                    return ImageInfo([Finding("truncated-image", path, detail)], length=length)
            header = None if decode else _read_header(file, follow_exif)
            if header is not None:
                return ImageInfo([], *header, length)
            file.seek(0)
            return _decode(path, file.read(), follow_exif)
    except (OSError, ValueError) as error:
        return ImageInfo([Finding("unreadable-image", path, why_unreadable(error))])


def is_whole(content: bytes | mmap) -> bool:
    """Whether a JPEG or PNG has its end; True for other formats, for which this is not checked.

    Most often, the first and the last bytes are read.
    """
    start, tail = content[: len(_PNG)], content[-_TAIL:]
    if start.startswith(_JPEG):
        return tail.rstrip(b"\0").endswith(b"\xff\xd9") or _has_jpeg_end(content[:])
    return start != _PNG or b"IEND" in tail or content.find(b"IEND") >= 0


def _has_jpeg_end(content: bytes) -> bool:
    """Whether an end marker follows the image's data, as in files to which a camera appends something.

    Segments are skipped, because an embedded preview has an end marker too.
    """
    if content.rstrip(b"\0").endswith(b"\xff\xd9"):
        return True
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


def _read_header(file: IO[bytes], follow_exif: bool) -> tuple[tuple[int, int], bool] | None:
    """The size (width, height), and whether EXIF rotates it, or None if Pillow cannot read the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                width, height = image.size
                # Pillow itself rotates TIFF.
                exif = "exif" in image.info and image.format != "TIFF" and follow_exif
                rotated = exif and image.getexif().get(_EXIF_ORIENTATION) in (5, 6, 7, 8)
    except Exception:  # a broken header can raise anything; OpenCV then decides
        return None
    return ((height, width) if rotated else (width, height)), bool(rotated)


def read_size(content: bytes) -> tuple[int, int] | None:
    """The size (width, height) of an image after its EXIF rotation, from its header; None if Pillow cannot read it."""
    header = _read_header(io.BytesIO(content), True)
    return header and header[0]


def _decode(path: str, content: bytes, follow_exif: bool) -> ImageInfo:
    import cv2
    import numpy as np

    flag = cv2.IMREAD_COLOR if follow_exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = None
    with tempfile.TemporaryFile() as log:
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            with suppress(cv2.error, MemoryError):
                image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        log.seek(0)
        lost = [line for line in log.read().splitlines() if line.startswith(_LOST) and _HARMLESS not in line]
    warning = lost[0].decode("ascii", "replace") if lost else ""
    if image is None:
        problem = Finding("unreadable-image", path, warning or "OpenCV cannot decode it")
        return ImageInfo([problem], length=len(content))
    height, width = image.shape[:2]
    digest = hashlib.blake2b(f"{width}x{height}".encode() + image.tobytes(), digest_size=20).hexdigest()
    header = _read_header(io.BytesIO(content), follow_exif)
    problems = [Finding("damaged-image", path, warning)] if warning else []
    return ImageInfo(problems, (width, height), header is not None and header[1], len(content), digest)


def _why_missing(path: str, error: Exception) -> str:
    for suffix in ("", *(variant for known in sorted(_SUFFIXES) for variant in (known, known.upper()))):
        with suppress(OSError, ValueError):
            if os.path.exists(other := Path(path).with_suffix(suffix)):
                return f"does not exist, but {other.name} does"
    return why_unreadable(error)
