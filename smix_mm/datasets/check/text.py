"""Split files and lists of classes, read in the same way by the check, its cleaned copy and the training."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from ...utils.errors import DataError


class EncodingError(DataError):
    """A text is not UTF-8; the message has no file name."""


def text_lines(content: bytes) -> list[str]:
    """Lines of a UTF-8 text without line ends, byte order marks and the blanks around them.

    Raises:
        EncodingError: it is UTF-16 or in an encoding of one byte a character.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or content.count(0) * 3 > len(content):
        raise EncodingError("is text in UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise EncodingError(
            f"is not text in UTF-8 (byte 0x{byte:02x} in line {line}); convert it, from Latin-1 for example: "
            "iconv -f LATIN1 -t UTF-8"
        ) from None
    # Files that were joined have a byte order mark in the middle.
    return [line.strip().strip("\ufeff").strip() for line in io.StringIO(text, newline=None)]


def read_lines(path: str) -> list[str]:
    """:func:`text_lines` of a file."""
    return text_lines(Path(path).read_bytes())
