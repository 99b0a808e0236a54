"""Images with boxes, as the conversion between formats holds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class BoxImage:
    """One image with its boxes.

    Attributes:
        name: its path inside the folder of its split, with its extension.
        path: where it is.
        size: (width, height) in pixels.
        boxes: ``(x1, y1, x2, y2)`` in pixels from 0, half-open: the last pixel of a box is ``x2 - 1``.
        labels: the class name of each box.
        ignored: whether each box is difficult (VOC) or a crowd (COCO).
    """

    name: str
    path: str
    size: tuple[int, int]
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)


@dataclass
class BoxData:
    """Detection data in any format.

    Attributes:
        classes: their names, in the order of the labels.
        splits: the images of each split (``"train"``, ``"val"`` ...), each with its boxes.
        notes: what the conversion changes, with its number.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[BoxImage]]
    notes: Counter[str] = field(default_factory=Counter)
