"""VOC annotations: read safely, checked against what MMDetection does with them, and cleaned."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Collection, Iterable, Mapping, Sequence, Union

from .findings import Problem, why_unreadable
from .left import Tally
from .text import EncodingError, similar_class, text_lines

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# An annotation of a thousand boxes has 0.3 MB; a larger file than this is not an annotation.
MAX_BYTES = 32 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_Size = Union[tuple[int, int], None]
DROPPED, SIZE_CORRECTED = "object dropped", "size corrected"


def usable_box(box: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box ``(x1, y1, x2, y2)``, counted from 0, has an area inside an image of ``(width, height)``."""
    x1, y1, x2, y2 = box
    return max(x1, 0) < min(x2, size[0]) and max(y1, 0) < min(y2, size[1])


@dataclass
class Annotation:
    """A cleaned annotation.

    Attributes:
        problems: what was wrong; those with ``fixed`` are fixed in ``root``.
        root: the cleaned element tree, for COCO the cleaned entries; None if it could not be parsed.
        size: (width, height) of the image if it was given, else as stated; None if that is no size.
        boxes: ``(xmin, ymin, xmax, ymax)`` of the usable boxes: 1-based, inclusive integers; COCO: from 0, half-open.
        labels: the class name of each of them.
        difficult: whether each of them is difficult; COCO: a crowd.
        unknown: class names of the objects that the config does not name.
        name: begins every detail; empty for VOC, where the file has the image's name.
    """

    problems: list[Problem] = field(default_factory=list)
    root: Any = None
    size: tuple[int, int] | None = None
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    name: str = ""

    @property
    def changed(self) -> bool:
        """Whether ``root`` differs from the file."""
        return any(problem.fixed for problem in self.problems)

    @property
    def tally(self) -> Tally | None:
        """What counts of it; None if it could not be parsed."""
        sides = (min(x2 - x1, y2 - y1) for (x1, y1, x2, y2), hard in zip(self.boxes, self.difficult) if not hard)
        if self.root is None:
            return None
        return Tally(self.size, tuple(sides), sum(self.difficult), tuple(self.unknown))

    def add(self, kind: str, detail: str, fixed: str = "") -> None:
        """Add a problem of the annotation."""
        self.problems.append(Problem(kind, f"{self.name}: {detail}" if self.name else detail, True, fixed))


def stated_size(root: Element) -> tuple[int, int] | None:
    """(width, height) in an annotation, or None if one is missing, not an integer or not positive."""
    try:
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if min(width, height) > 0 else None


def is_doubtful(size: tuple[int, int] | None, boxes: Iterable[Sequence[float]], minimum: float) -> bool:
    """Whether a stated size needs the image: it is none, too small for ``min_size``, or a box leaves it."""
    # Corners may be rounded by a pixel.
    return size is None or min(size) < minimum or any(box[2] > size[0] + 1 or box[3] > size[1] + 1 for box in boxes)


def read_annotation(path: str) -> bytes | Problem:
    """The bytes of an annotation, or the problem that it cannot be read."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            return Problem("malformed-xml", "is not a regular file", True)
        if status.st_size > MAX_BYTES:
            return Problem("malformed-xml", f"has {status.st_size} bytes, more than any annotation", True)
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        return Problem("missing-annotation", why_unreadable(error), True)


def parse_annotation(content: bytes) -> Element | Problem:
    """The root element of an annotation, or the problem that it is not one; entities and external files are refused."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        detail = f"should be XML without entities and external files, got {type(error).__name__}"
        return Problem("hostile-xml", detail, True)
    except Exception as error:  # expat and the codecs raise many kinds of errors
        begins = content.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \t\r\n")[:1]
        if isinstance(error, ParseError) and begins == b"<" and b"encoding" not in content[:200]:
            try:
                text_lines(content)
            except EncodingError as wrong:
                return Problem("wrong-encoding", str(wrong), True)
        return Problem("malformed-xml", f"{str(error) or type(error).__name__}", True)
    if root.find("size") is None and root.find("object") is None:
        return Problem("malformed-xml", f"has neither a size nor an object; its root is <{root.tag}>", True)
    return root


def clean_annotation(
    content: bytes,
    classes: Collection[str],
    *,
    size: tuple[int, int] | None = None,
    rotated: bool = False,
    ignore: Collection[str] = (),
) -> Annotation:
    """Check an annotation and fix what can be fixed.

    Coordinates are read as MMDetection reads them, ``int(float(text))``. Objects of unknown classes and
    boxes without area are dropped, boxes that leave the image are clipped, a wrong size is corrected.

    Args:
        content, classes: the file's bytes, and the class names of the config.
        size: (width, height) of the image as the training reads it. Defaults to the size in the annotation.
        rotated: whether the image's EXIF orientation exchanges width and height. If the stated size is that
            before this rotation, it is not fixed: the boxes then belong to the image before it.
        ignore: kinds of problem that are reported, but not fixed.

    Returns:
        The cleaned annotation and what was wrong. No content raises an error.
    """
    annotation = Annotation()
    root = parse_annotation(content)
    if isinstance(root, Problem):
        annotation.problems.append(root)
        return annotation
    annotation.root = root
    _check_size(annotation, root, size, rotated, "size-differs" in ignore)
    annotation.size = size or annotation.size
    objects = _Elements(annotation, classes, ignore)
    for number, element in enumerate(root.findall("object"), 1):
        if not objects.check(element, f"object {number}"):
            root.remove(element)
    if not annotation.boxes:
        annotation.add("no-boxes", "has no usable box")
    return annotation


def as_bytes(annotation: Annotation) -> bytes:
    """The cleaned annotation as a file.

    Raises:
        RecursionError: its elements are nested too deeply.
    """
    from xml.etree.ElementTree import tostring

    return tostring(annotation.root, encoding="utf-8") + b"\n"


def _check_size(annotation: Annotation, root: Element, size: _Size, rotated: bool, ignored: bool) -> None:
    from xml.etree.ElementTree import SubElement

    annotation.size = stated_size(root)
    stated = {side: root.findtext(f"size/{side}", "") for side in ("width", "height")}
    element = root.find("size")
    if check_size(annotation, stated if element is not None else None, size, rotated, ignored) and size is not None:
        element = SubElement(root, "size") if element is None else element
        for side, value in zip(stated, size):
            found = element.find(side)
            _write(SubElement(element, side) if found is None else found, value)


def check_size(
    annotation: Annotation, stated: Mapping[str, str] | None, size: _Size, rotated: bool, ignored: bool
) -> bool:
    """Compare the texts ``width`` and ``height`` with the size of the image; return whether to correct them."""
    fixed = "" if size is None else SIZE_CORRECTED
    if stated is None:
        kind, detail = "no-size", "has no <size>"
    elif not all(stated.values()):
        kind, detail = "missing-field", f"the size has no {next(side for side, text in stated.items() if not text)}"
    elif not all(map(_is_integer, stated.values())):
        kind, detail = "not-a-number", " and ".join(f"{side} is {short(text)}" for side, text in stated.items())
    else:
        given = tuple(map(int, stated.values()))
        if given == size or (size is None and annotation.size is not None):
            return False
        kind, detail = "size-differs", f"is stated as {given[0]}x{given[1]}"
        if size is not None:
            detail, fixed = f"{detail}, but is {size[0]}x{size[1]}", "" if ignored else fixed
            if rotated and given == size[::-1]:
                detail, fixed = f"{detail} after its EXIF rotation, which the boxes may not follow", ""
    annotation.add(kind, detail, fixed)
    return bool(fixed)


def _is_integer(text: str) -> bool:
    try:
        return int(text) is not None
    except ValueError:
        return False


class Objects:
    """Adds the problems of objects to an annotation; ``ignore`` has effect on three kinds of problem."""

    def __init__(self, annotation: Annotation, classes: Collection[str], ignore: Collection[str]) -> None:
        self.annotation, self.classes = annotation, classes
        self.ignore = {"unknown-class", "box-without-area", "box-outside"}.intersection(ignore)

    def add(self, kind: str, detail: str, fixed: str = DROPPED) -> bool:
        """Add a problem, which is fixed unless it is ignored; return whether it is ignored."""
        self.annotation.add(kind, detail, "" if kind in self.ignore else fixed)
        return kind in self.ignore

    def add_unknown(self, name: str, which: str) -> bool:
        """Add that a class is not one of the config's; return whether this is ignored."""
        self.annotation.unknown.append(name)
        hint = f", but the config has {short(known)}" if (known := similar_class(name, self.classes)) else ""
        return self.add("unknown-class", f"{which} is {short(name)}{hint}")

    def keep(self, box: tuple[float, float, float, float], name: str, difficult: bool) -> bool:
        """Add a usable box; return that it stays."""
        self.annotation.boxes.append(box)
        self.annotation.labels.append(name)
        self.annotation.difficult.append(difficult)
        return True


class _Elements(Objects):
    """Checks objects in the order in which MMDetection reads them."""

    def check(self, element: Element, which: str) -> bool:
        """Check an object and clip its box; return whether it stays."""
        name = element.findtext("name")
        if not name:
            return self.add("missing-field", f"{which} has no name")
        if name not in self.classes:
            return self.add_unknown(name, which)
        which, difficult = f"{which} ({short(name)})", element.findtext("difficult", "0")
        try:
            hard = int(difficult) != 0
        except ValueError:
            hard = self.add("not-a-number", f"{which}: difficult is {short(difficult)}", "field removed")
            for one in element.findall("difficult"):
                element.remove(one)
        box, corners = element.find("bndbox"), []
        for corner in _CORNERS:
            text = "" if box is None else box.findtext(corner, "")
            if not text:
                return self.add("missing-field", f"{which} has no {'bndbox' if box is None else corner}")
            try:
                corners.append(int(float(text)))
            except (ValueError, OverflowError):
                return self.add("not-a-number", f"{which}: {corner} is {short(text)}")
        x1, y1, x2, y2 = corners
        shown = short(f"{x1},{y1},{x2},{y2}")[1:-1]
        if x2 <= x1 or y2 <= y1:
            return self.add("box-without-area", f"{which}: {shown}")
        width, height = self.annotation.size or (x2, y2)
        clipped = (max(x1, 1), max(y1, 1), min(x2, width), min(y2, height))
        if self.annotation.size and clipped != (x1, y1, x2, y2):
            gone = clipped[2] <= clipped[0] or clipped[3] <= clipped[1]
            detail = f"{which}: {shown} in {width}x{height}"
            if not self.add("box-outside", detail, DROPPED if gone else "box clipped"):
                if gone:
                    return False
                for corner, value in zip(_CORNERS, clipped):
                    _write(element.find(f"bndbox/{corner}"), value)
                x1, y1, x2, y2 = clipped
        return self.keep((x1, y1, x2, y2), name, hard)


def _write(element: Element | None, value: int) -> None:
    assert element is not None
    for child in list(element):
        element.remove(child)
    element.text = str(value)


def short(text: str) -> str:
    """A text of the file in quotes, cut after 40 characters."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
