"""Annotations of the VOC kind: read safely, checked against what MMDetection does with them, and cleaned."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Collection

from .findings import Problem

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# An annotation of a thousand boxes has 0.3 MB; a file that has more than this is none.
MOST_BYTES = 32 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DROPPED = "object dropped"


@dataclass
class Annotation:
    """What an annotation holds, after cleaning.

    Attributes:
        problems: what was wrong; those with ``fixed`` are fixed in ``root``.
        root: the cleaned element tree; None where there is nothing that could be cleaned.
        size: (width, height) that the file states; None where it states none.
        boxes: ``(xmin, ymin, xmax, ymax)`` of the usable boxes, 1-based and inclusive as in VOC, as integers.
    """

    problems: list[Problem] = field(default_factory=list)
    root: Element | None = None
    size: tuple[int, int] | None = None
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return any(problem.fixed for problem in self.problems)

    def add(self, kind: str, detail: str, fixed: str = "") -> None:
        self.problems.append(Problem(kind, detail, True, fixed))


def read_annotation(path: str) -> bytes | Problem:
    """The bytes of an annotation, or why there are none."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for ever
            return Problem("malformed-xml", "is no regular file", True)
        if status.st_size > MOST_BYTES:
            return Problem("malformed-xml", f"has {status.st_size} bytes, more than any annotation", True)
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return Problem("missing-annotation", "is not there", True)
    except (OSError, ValueError) as error:
        return Problem("missing-annotation", f"cannot be read: {getattr(error, 'strerror', None) or error}", True)


def clean_annotation(
    content: bytes,
    classes: Collection[str],
    *,
    size: tuple[int, int] | None = None,
    turned: bool = False,
    keep: Collection[str] = (),
) -> Annotation:
    """Check an annotation and fix what can be fixed.

    Coordinates are read as MMDetection reads them, ``int(float(text))``. Objects of unknown classes and
    boxes without area are dropped, boxes that leave the image are clipped, a wrong size is set right.
    Entities and external files are refused (defusedxml), and the XML then counts as unread.

    Args:
        content: the file's bytes.
        classes: names that the config knows.
        size: (width, height) of the image as the training reads it. Defaults to the size in the annotation.
        turned: whether the image's EXIF orientation exchanges width and height. A size that is
            right but for this turn is not fixed: the boxes then belong to the image before it.
        keep: kinds of problem that are meant so; they are named, and not fixed.

    Returns:
        The cleaned annotation and what was wrong. Nothing is raised for any content.
    """
    annotation = Annotation()
    root = _parse(content, annotation)
    if root is None:
        return annotation
    annotation.root = root
    _check_size(annotation, root, size, turned, keep)
    within = size or annotation.size
    for number, element in enumerate(root.findall("object"), 1):
        _check_object(annotation, element, f"object {number}", classes, within, keep)
    if not annotation.boxes:
        annotation.add("no-boxes", "has no usable box")
    return annotation


def as_bytes(annotation: Annotation) -> bytes:
    """The cleaned annotation as a file.

    Raises:
        RecursionError: its elements are nested deeper than Python can follow.
    """
    from xml.etree.ElementTree import tostring

    assert annotation.root is not None
    return tostring(annotation.root, encoding="utf-8") + b"\n"


def _parse(content: bytes, annotation: Annotation) -> Element | None:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        annotation.add("hostile-xml", f"{type(error).__name__}: wanted XML without entities and external files")
        return None
    except Exception as error:  # expat and the codecs have many ways to refuse bytes
        annotation.add("malformed-xml", f"{str(error) or type(error).__name__}")
        return None
    if root.find("size") is None and root.find("object") is None:
        annotation.add("malformed-xml", f"has neither a size nor an object; its root is <{root.tag}>")
        return None
    return root


def _check_size(
    annotation: Annotation, root: Element, size: tuple[int, int] | None, turned: bool, keep: Collection[str]
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
            annotation.add("size-differs", f"is said to be {stated[0]}x{stated[1]}")
    elif annotation.size != size:
        detail = f"is said to be {stated[0]}x{stated[1]}, and is {size[0]}x{size[1]}"
        if turned and annotation.size == size[::-1]:
            annotation.add("size-differs", f"{detail} after its EXIF turn, which the boxes may not follow")
        else:
            annotation.add("size-differs", detail, "" if "size-differs" in keep else _set_size(element, size))


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
    keep: Collection[str],
) -> None:
    """Look at one object in the order in which MMDetection reads it; drop it where it cannot be used."""
    assert annotation.root is not None
    name = _text(element, "name")
    if name is None:
        annotation.add("missing-field", f"{which} has no name", _DROPPED)
    elif name not in classes:
        annotation.add("unknown-class", f"{which} is {_short(name)}", "" if "unknown-class" in keep else _DROPPED)
        if "unknown-class" in keep:  # never read further
            return
    else:
        which = f"{which} ({_short(name)})"
        _check_difficult(annotation, element, which)
        corners = _corners(annotation, element, which)
        if corners is not None and _check_box(annotation, element, which, corners, within, keep):
            return
    annotation.root.remove(element)


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
    keep: Collection[str],
) -> bool:
    """Whether the object stays."""
    x1, y1, x2, y2 = corners
    shown = _short(f"{x1},{y1},{x2},{y2}")[1:-1]
    if x2 <= x1 or y2 <= y1:
        annotation.add("box-without-area", f"{which}: {shown}", "" if "box-without-area" in keep else _DROPPED)
        return "box-without-area" in keep
    if within is not None and min(within) > 0:
        width, height = within
        clipped = (max(x1, 1), max(y1, 1), min(x2, width), min(y2, height))
        if clipped != corners:
            detail = f"{which}: {shown} in {width}x{height}"
            gone = clipped[2] <= clipped[0] or clipped[3] <= clipped[1]
            fixed = _DROPPED if gone else "box clipped"
            annotation.add("box-outside", detail, "" if "box-outside" in keep else fixed)
            if "box-outside" not in keep:
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
