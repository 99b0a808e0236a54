"""Annotations of one image: checked against what MMDetection does with them, and cleaned; those in VOC's format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Collection, Iterable, Mapping, Sequence

from .findings import Finding
from .text import parse_annotation, similar_class

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Box = tuple[float, float, float, float]
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
DROPPED, SIZE_CORRECTED = "object dropped", "size corrected"


def usable_box(box: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box ``(x1, y1, x2, y2)``, counted from 0, has an area inside an image of ``(width, height)``."""
    x1, y1, x2, y2 = box
    return max(x1, 0) < min(x2, size[0]) and max(y1, 0) < min(y2, size[1])


@dataclass
class Annotation:
    """An annotation that is being cleaned.

    Attributes:
        file: its path, in VOC's or COCO's format.
        classes: class names of the config; None for any.
        ignore: kinds of problem that are reported, but not fixed.
        name: begins every detail; empty for VOC, where the file has the image's name.
        problems: what was wrong; those with ``fixed`` are fixed in ``root``.
        parsed: whether it could be parsed.
        root: the cleaned element tree, for COCO the cleaned entries.
        size: (width, height) of the image if it was given, else as stated; None if that is no size.
        boxes: ``(xmin, ymin, xmax, ymax)`` of the usable boxes: 1-based, inclusive integers; COCO: from 0, half-open.
        labels: the class name of each of them.
        difficult: whether each of them is difficult; COCO: a crowd.
        unknown: class names of the objects that the config does not name.
    """

    file: str
    classes: Collection[str] | None = None
    ignore: Collection[str] = ()
    name: str = ""
    problems: list[Finding] = field(default_factory=list)
    parsed: bool = False
    root: Any = None
    size: tuple[int, int] | None = None
    boxes: list[Box] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether ``root`` differs from the file."""
        return any(problem.fixed for problem in self.problems)

    def add(self, kind: str, detail: str, fixed: str = "") -> None:
        """Add a problem of the annotation."""
        detail = f"{self.name}: {detail}" if self.name else detail
        self.problems.append(Finding(kind, self.file, detail, fixed=fixed))

    def drop(self, kind: str, detail: str, fixed: str = DROPPED) -> bool:
        """Add a problem of an object, which is fixed unless it may be ignored and is; return whether it is ignored."""
        ignored = kind in self.ignore and kind in ("unknown-class", "box-without-area", "box-outside")
        self.add(kind, detail, "" if ignored else fixed)
        return ignored

    def drop_unknown(self, which: str, name: str) -> bool | None:
        """Add an object whose class the config does not name; None if it does, else whether this is ignored."""
        if self.classes is None or name in self.classes:
            return None
        self.unknown.append(name)
        hint = f", but the config has {short(known)}" if (known := similar_class(name, self.classes)) else ""
        return self.drop("unknown-class", f"{which} is {short(name)}{hint}")

    def keep(self, box: Box, name: str, difficult: bool) -> bool:
        """Add a usable box; return that it stays."""
        self.boxes.append(box)
        self.labels.append(name)
        self.difficult.append(difficult)
        return True

    def clip(self, box: Box, shown: str, first: int, tolerance: float = 0) -> Box | None:
        """The part of a box inside the image, or the box if that is ignored; None if no pixel of it is inside.

        ``first`` is the smallest coordinate; a box may leave the image by ``tolerance`` pixels.
        """
        if self.size is None:
            return box
        (x1, y1, x2, y2), (width, height) = box, self.size
        inside = (max(x1, first), max(y1, first), min(x2, width), min(y2, height))
        if all(abs(one - other) <= tolerance for one, other in zip(inside, box)):
            return box
        gone = inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1
        if self.drop("box-outside", f"{shown} in {width}x{height}", DROPPED if gone else "box clipped"):
            return box
        return None if gone else inside

    def check_size(self, stated: Mapping[str, str] | None, size: tuple[int, int] | None, rotated: bool) -> bool:
        """Compare the texts ``width`` and ``height``, None if there is no size, with the image's size, None if unknown.

        The latter becomes that of the annotation. Returns whether to correct the texts.
        """
        self.size = stated_size(stated or {})
        fixed = "" if size is None else SIZE_CORRECTED
        if stated is None:
            kind, detail = "no-size", "has no <size>"
        elif not all(stated.values()):
            kind, detail = "missing-field", f"the size has no {next(side for side, text in stated.items() if not text)}"
        elif (given := _integers(stated)) is None:
            kind, detail = "not-a-number", " and ".join(f"{side} is {short(text)}" for side, text in stated.items())
        elif given == size or (size is None and self.size is not None):
            return False
        else:
            kind, detail = "size-differs", f"is stated as {given[0]}x{given[1]}"
            if size is not None:
                detail, fixed = f"{detail}, but is {size[0]}x{size[1]}", "" if kind in self.ignore else fixed
                if rotated and given == size[::-1]:
                    detail, fixed = f"{detail} after its EXIF rotation, which the boxes may not follow", ""
        self.add(kind, detail, fixed)
        self.size = size or self.size
        return bool(fixed)


def _integers(stated: Mapping[str, str]) -> tuple[int, int] | None:
    try:
        return int(stated["width"]), int(stated["height"])
    except (KeyError, ValueError):
        return None


def stated_size(stated: Mapping[str, str]) -> tuple[int, int] | None:
    """(width, height) of these texts, or None if one is missing, not an integer or not positive."""
    size = _integers(stated)
    return size if size and min(size) > 0 else None


def size_texts(root: Element) -> dict[str, str]:
    """The texts of width and height in an annotation."""
    return {side: root.findtext(f"size/{side}", "") for side in ("width", "height")}


def is_doubtful(size: tuple[int, int] | None, boxes: Iterable[Sequence[float]], minimum: float) -> bool:
    """Whether a stated size needs the image: it is none, too small for ``min_size``, or a box leaves it."""
    # Corners may be rounded by a pixel.
    return size is None or min(size) < minimum or any(box[2] > size[0] + 1 or box[3] > size[1] + 1 for box in boxes)


def clean_annotation(
    content: bytes | Finding,
    classes: Collection[str] | None,
    *,
    file: str = "",
    size: tuple[int, int] | None = None,
    rotated: bool = False,
    ignore: Collection[str] = (),
) -> Annotation:
    """Check an annotation in VOC's format and fix what can be fixed.

    Coordinates are read as MMDetection reads them, ``int(float(text))``. Objects of unknown classes and
    boxes without area are dropped, boxes that leave the image are clipped, a wrong size is corrected.

    Args:
        content: of :func:`~.text.read_annotation`.
        file, classes, ignore: see :class:`Annotation`.
        size: (width, height) of the image as the training reads it. Defaults to the size in the annotation.
        rotated: whether the image's EXIF orientation exchanges width and height. If the stated size is that
            before this rotation, it is not fixed: the boxes then belong to the image before it.

    Returns:
        The cleaned annotation and what was wrong. No content raises an error.
    """
    annotation = Annotation(file, classes, ignore)
    root = content if isinstance(content, Finding) else parse_annotation(content, file)
    if isinstance(root, Finding):
        annotation.problems.append(root)
        return annotation
    annotation.root, annotation.parsed = root, True
    stated = None if root.find("size") is None else size_texts(root)
    if annotation.check_size(stated, size, rotated) and size is not None:
        _write_size(root, size)
    for number, element in enumerate(root.findall("object"), 1):
        if not _check_object(annotation, element, f"object {number}"):
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


def _write_size(root: Element, size: tuple[int, int]) -> None:
    from xml.etree.ElementTree import SubElement

    element = root.find("size")
    element = SubElement(root, "size") if element is None else element
    for side, value in zip(("width", "height"), size):
        found = element.find(side)
        _write(SubElement(element, side) if found is None else found, value)


def _check_object(annotation: Annotation, element: Element, which: str) -> bool:
    """Check an object in the order in which MMDetection reads it and clip its box; return whether it stays."""
    name = element.findtext("name")
    if not name:
        return annotation.drop("missing-field", f"{which} has no name")
    if (ignored := annotation.drop_unknown(which, name)) is not None:
        return ignored
    which, difficult = f"{which} ({short(name)})", element.findtext("difficult", "0")
    try:
        hard = int(difficult) != 0
    except ValueError:
        hard = annotation.drop("not-a-number", f"{which}: difficult is {short(difficult)}", "field removed")
        for one in element.findall("difficult"):
            element.remove(one)
    bndbox, corners = element.find("bndbox"), list[int]()
    for corner in _CORNERS:
        text = "" if bndbox is None else bndbox.findtext(corner, "")
        if not text:
            return annotation.drop("missing-field", f"{which} has no {'bndbox' if bndbox is None else corner}")
        try:
            corners.append(int(float(text)))
        except (ValueError, OverflowError):
            return annotation.drop("not-a-number", f"{which}: {corner} is {short(text)}")
    x1, y1, x2, y2 = corners
    box: Box = (x1, y1, x2, y2)
    shown = f"{which}: {short(f'{x1},{y1},{x2},{y2}')[1:-1]}"
    if x2 <= x1 or y2 <= y1:
        return annotation.drop("box-without-area", shown)
    clipped = annotation.clip(box, shown, 1)
    if clipped is None:
        return False
    if clipped != box:
        for corner, value in zip(_CORNERS, clipped):
            _write(element.find(f"bndbox/{corner}"), int(value))
    return annotation.keep(clipped, name, hard)


def _write(element: Element | None, value: int) -> None:
    assert element is not None
    for child in list(element):
        element.remove(child)
    element.text = str(value)


def short(text: str) -> str:
    """A text of the file in quotes, cut after 40 characters."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
