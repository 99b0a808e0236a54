"""Examples, each a grid of panels, which sheets and pages show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

Box = tuple[int, int, int, int]

SOURCE, TARGET, MARK = "#ff7f0e", "#17becf", "#39ff14"

MOST, LEAST, ANY = "+", "x", "o"
"""Symbols of the most salient pixel, the least salient pixel and a random place."""

SYMBOLS = {"salient": MOST, "non_salient": LEAST, "random": ANY}
PLACES = {MOST: "most salient pixel", LEAST: "least salient pixel", ANY: "random place"}


@dataclass(frozen=True)
class Mark:
    """A marked pixel: its row ``y`` and column ``x``, and :data:`MOST`, :data:`LEAST` or :data:`ANY`."""

    y: int
    x: int
    symbol: str


@dataclass(frozen=True)
class Panel:
    """One image, or saliency map, with a caption, a box and marks."""

    caption: str  # at most two lines of about 30 characters
    image: np.ndarray  # uint8 RGB (H, W, 3), or a saliency map, float32 (H, W) in [0, 1]
    box: Box | None = None  # (y1, x1, y2, x2), half-open
    colour: str = SOURCE  # of the box, or TARGET
    marks: tuple[Mark, ...] = ()

    @property
    def alt(self) -> str:
        """The panel in words, for screen readers."""
        words = [self.caption.replace("\n", " ")]
        if self.box is not None:
            y1, x1, y2, x2 = self.box
            words.append(f"box of {y2 - y1} rows and {x2 - x1} columns from row {y1}, column {x1}")
        words += [f"{PLACES[mark.symbol]} at row {mark.y}, column {mark.x}" for mark in self.marks]
        return "; ".join(words)


@dataclass(frozen=True)
class Example:
    """Panels in rows of ``columns``, under a title of one line."""

    title: str
    panels: tuple[Panel, ...]
    columns: int = 4

    @property
    def rows(self) -> int:
        """Number of rows of panels."""
        return -(-len(self.panels) // self.columns)


def short_name(name: str) -> str:
    """The first of a class's comma-separated synonyms, shortened to 18 characters."""
    first = name.split(",")[0].strip()
    return first if len(first) <= 18 else f"{first[:17].rstrip()}…"


def mixed_label(lam: float, own: str, other: str) -> str:
    """The mixed label on two lines, such as ``0.62 cat`` and ``+ 0.38 dog``."""
    own_weight = round(lam, 2)
    return f"{own_weight:.2f} {short_name(own)}\n+ {1 - own_weight:.2f} {short_name(other)}"


def to_image(image: Tensor) -> np.ndarray:
    """uint8 (H, W, 3) from uint8 (3, H, W)."""
    return image.permute(1, 2, 0).cpu().numpy()


def to_box(box: Tensor) -> Box:
    """A tuple of Python integers from a box, int64 (4,)."""
    y1, x1, y2, x2 = box.tolist()
    return y1, x1, y2, x2


def to_mark(point: Tensor, symbol: str) -> Mark:
    """A mark at a point, int64 (2,): ``(y, x)``."""
    y, x = point.tolist()
    return Mark(y, x, symbol)
