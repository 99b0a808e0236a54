"""Split files, annotations and names of classes, read in the same way by check, cleaned copy and training."""

from __future__ import annotations

import codecs
import io
import os
import stat
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Collection, Iterable, Sequence

from ...utils.errors import DataError
from ...utils.text import first_few
from .findings import Finding, why_unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# An annotation of a thousand boxes has 0.3 MB; a larger file than this is not an annotation.
MAX_BYTES = 32 << 20

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


def read_annotation(path: str) -> bytes | Finding:
    """The bytes of an annotation, or the problem that it cannot be read."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            return Finding("malformed-xml", path, "is not a regular file")
        if status.st_size > MAX_BYTES:
            return Finding("malformed-xml", path, f"has {status.st_size} bytes, more than any annotation")
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        return Finding("missing-annotation", path, why_unreadable(error))


def parse_annotation(content: bytes, path: str = "") -> Element | Finding:
    """The root element of an annotation, or the problem that it is not one; entities and external files are refused."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        detail = f"should be XML without entities and external files, got {type(error).__name__}"
        return Finding("hostile-xml", path, detail)
    except Exception as error:  # expat and the codecs raise many kinds of errors
        begins = content.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \t\r\n")[:1]
        if isinstance(error, ParseError) and begins == b"<" and b"encoding" not in content[:200]:
            try:
                text_lines(content)
            except EncodingError as wrong:
                return Finding("wrong-encoding", path, str(wrong))
        return Finding("malformed-xml", path, f"{str(error) or type(error).__name__}")
    if root.find("size") is None and root.find("object") is None:
        return Finding("malformed-xml", path, f"has neither a size nor an object; its root is <{root.tag}>")
    return root


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
