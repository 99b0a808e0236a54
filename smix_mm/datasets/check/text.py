"""Split files and names of classes, read in the same way by the check, its cleaned copy and the training."""

from __future__ import annotations

import codecs
import io
import unicodedata
from pathlib import Path
from typing import Collection, Iterable, Sequence

from ...utils.errors import DataError
from ...utils.text import first_few

ORDER_ADVICE = (
    "give the config's classes in the file's order, or rewrite the file: python tools/check_data.py CONFIG --fix OUT"
)


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


def similar_class(name: str, classes: Collection[str]) -> str:
    """The class whose name differs from ``name`` only by case, blanks or Unicode form, or an empty string."""
    return next((known for known in classes if known != name and _folded(known) == _folded(name)), "")


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", str(name)).casefold().split())


def describe_unknown(names: Iterable[str], classes: Sequence[str]) -> str:
    """``"Cat, Dog; the config names cat, dog; class names differ by case or blanks: Cat/cat, Dog/dog"``."""
    names = list(dict.fromkeys(names))
    text = f"{first_few(names, 3)}; the config names {first_few(classes, 3) or 'none'}"
    if pairs := [f"{name}/{known}" for name in names if (known := similar_class(name, classes))]:
        text += f"; class names differ by case or blanks: {first_few(pairs, 3)}"
    return text


def describe_categories(names: Sequence[str], classes: Sequence[str]) -> str:
    """Why the categories of a COCO file, in the file's order, give other labels than the classes; empty if they do not.

    MMDetection's ``CocoDataset`` gives label 0 to the first of the file's categories that is one of the classes, and
    so on, but takes the names of the labels from the config.
    """
    known = [name for name in names if name in classes]
    if known == list(classes):
        return ""
    if number := len(set(classes) - set(known)):
        return (
            f"has {len(classes) - number} of the config's {len(classes)} classes, expected all; its categories are "
            f"{describe_unknown(names, classes)}"
        )
    return (
        f"lists its categories in the order {first_few(known, 6)}, by which MMDetection numbers the labels, but the "
        f"config's classes are {first_few(classes, 6)}"
    )
