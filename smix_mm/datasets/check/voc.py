"""VOC annotations: read safely, checked against what MMDetection does with them, and cleaned."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Collection, Sequence

from .findings import Problem, why_unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# An annotation of a thousand boxes has 0.3 MB; a larger file than this is not an annotation.
MAX_BYTES = 32 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DROPPED = "object dropped"


def usable_box(box: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box ``(x1, y1, x2, y2)``, counted from 0, has an area inside an image of ``(width, height)``."""
    x1, y1, x2, y2 = box
    return max(x1, 0) < min(x2, size[0]) and max(y1, 0) < min(y2, size[1])


@dataclass
class Annotation:
    """A cleaned annotation.

    Attributes:
        problems: what was wrong; those with ``fixed`` are fixed in ``root``.
        root: the cleaned element tree; None if the file could not be parsed.
        size: (width, height) stated in the file; None if it states none.
        boxes: ``(xmin, ymin, xmax, ymax)`` of the usable boxes, 1-based and inclusive as in VOC, as integers.
    """

    problems: list[Problem] = field(default_factory=list)
    root: Element | None = None
    size: tuple[int, int] | None = None
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether ``root`` differs from the file."""
        return any(problem.fixed for problem in self.problems)

    def add(self, kind: str, detail: str, fixed: str = "") -> None:
        """Add a problem of the annotation."""
        self.problems.append(Problem(kind, detail, True, fixed))


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
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        detail = f"should be XML without entities and external files, got {type(error).__name__}"
        return Problem("hostile-xml", detail, True)
    except Exception as error:  # expat and the codecs raise many kinds of errors
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
        content: the file's bytes.
        classes: the class names of the config.
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
    _check_size(annotation, root, size, rotated, ignore)
    within = size or annotation.size
    for number, element in enumerate(root.findall("object"), 1):
        if not _check_object(annotation, element, f"object {number}", classes, within, ignore):
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

    assert annotation.root is not None
    return tostring(annotation.root, encoding="utf-8") + b"\n"


def _check_size(
    annotation: Annotation, root: Element, size: tuple[int, int] | None, rotated: bool, ignore: Collection[str]
) -> None:
    element = root.find("size")
    if element is None:
        from xml.etree.ElementTree import SubElement

        annotation.add("no-size", "has no <size>", _set_size(SubElement(root, "size"), size) if size else "")
        return
    stated = []
    for side in ("width", "height"):
        text = _text(element, side)
        if text is None:
            annotation.add("missing-field", f"<size> has no {side}", _set_size(element, size))
            return
        try:
            stated.append(int(text))
        except ValueError:
            annotation.add("not-a-number", f"{side} is {_short(text)}", _set_size(element, size))
            return
    annotation.size = (stated[0], stated[1])
    if size is None:
        if min(stated) <= 0:
            annotation.add("size-differs", f"is stated as {stated[0]}x{stated[1]}")
    elif annotation.size != size:
        detail = f"is stated as {stated[0]}x{stated[1]}, but is {size[0]}x{size[1]}"
        if rotated and annotation.size == size[::-1]:
            annotation.add("size-differs", f"{detail} after its EXIF rotation, which the boxes may not follow")
        else:
            annotation.add("size-differs", detail, "" if "size-differs" in ignore else _set_size(element, size))


def _set_size(element: Element, size: tuple[int, int] | None) -> str:
    from xml.etree.ElementTree import SubElement

    if size is None:
        return ""
    for side, value in zip(("width", "height"), size):
        found = element.find(side)
        _write(SubElement(element, side) if found is None else found, value)
    return "size corrected"


def _check_object(
    annotation: Annotation,
    element: Element,
    which: str,
    classes: Collection[str],
    within: tuple[int, int] | None,
    ignore: Collection[str],
) -> bool:
    """Check one object in the order in which MMDetection reads it; return whether it stays."""
    name = _text(element, "name")
    if name is None:
        annotation.add("missing-field", f"{which} has no name", _DROPPED)
        return False
    if name not in classes:
        stays = "unknown-class" in ignore
        annotation.add("unknown-class", f"{which} is {_short(name)}", "" if stays else _DROPPED)
        return stays
    which = f"{which} ({_short(name)})"
    _check_difficult(annotation, element, which)
    corners = _corners(annotation, element, which)
    return corners is not None and _check_box(annotation, element, which, corners, within, ignore)


def _check_difficult(annotation: Annotation, element: Element, which: str) -> None:
    difficult = element.find("difficult")
    if difficult is None:
        return
    try:
        int(difficult.text or "")
    except ValueError:
        annotation.add("not-a-number", f"{which}: difficult is {_short(difficult.text or '')}", "field removed")
        for one in element.findall("difficult"):
            element.remove(one)


def _corners(annotation: Annotation, element: Element, which: str) -> tuple[int, int, int, int] | None:
    box = element.find("bndbox")
    corners = []
    for name in _CORNERS:
        text = None if box is None else _text(box, name)
        if text is None:
            annotation.add("missing-field", f"{which} has no {'bndbox' if box is None else name}", _DROPPED)
            return None
        try:
            corners.append(int(float(text)))
        except (ValueError, OverflowError):
            annotation.add("not-a-number", f"{which}: {name} is {_short(text)}", _DROPPED)
            return None
    return corners[0], corners[1], corners[2], corners[3]


def _check_box(
    annotation: Annotation,
    element: Element,
    which: str,
    corners: tuple[int, int, int, int],
    within: tuple[int, int] | None,
    ignore: Collection[str],
) -> bool:
    """Check and clip a box; return whether its object stays."""
    x1, y1, x2, y2 = corners
    shown = _short(f"{x1},{y1},{x2},{y2}")[1:-1]
    if x2 <= x1 or y2 <= y1:
        annotation.add("box-without-area", f"{which}: {shown}", "" if "box-without-area" in ignore else _DROPPED)
        return "box-without-area" in ignore
    if within is not None and min(within) > 0:
        width, height = within
        clipped = (max(x1, 1), max(y1, 1), min(x2, width), min(y2, height))
        if clipped != corners:
            detail = f"{which}: {shown} in {width}x{height}"
            gone = clipped[2] <= clipped[0] or clipped[3] <= clipped[1]
            fixed = _DROPPED if gone else "box clipped"
            annotation.add("box-outside", detail, "" if "box-outside" in ignore else fixed)
            if "box-outside" not in ignore:
                if gone:
                    return False
                for name, value in zip(_CORNERS, clipped):
                    _write(element.find(f"bndbox/{name}"), value)
                corners = clipped
    annotation.boxes.append(corners)
    return True


def _write(element: Element | None, value: int) -> None:
    assert element is not None
    for child in list(element):
        element.remove(child)
    element.text = str(value)


def _text(element: Element, name: str) -> str | None:
    found = element.find(name)
    return None if found is None else found.text


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
