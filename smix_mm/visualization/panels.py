"""What a sheet and a page show: examples, each a grid of panels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

Box = tuple[int, int, int, int]

SOURCE, TARGET, MARK = "#ff7f0e", "#17becf", "#39ff14"

MOST, LEAST, ANY = "+", "x", "o"
"""How the most salient, the least salient and a random place are marked."""

SYMBOLS = {"salient": MOST, "non_salient": LEAST, "random": ANY}
PLACES = {MOST: "most salient pixel", LEAST: "least salient pixel", ANY: "random place"}

LONGEST_NAME = 18


@dataclass(frozen=True)
class Mark:
    """A marked pixel: its row and column, and :data:`MOST`, :data:`LEAST` or :data:`ANY`."""

    y: int
    x: int
    symbol: str


@dataclass(frozen=True)
class Panel:
    """One image with what is drawn on it.

    Attributes:
        caption: at most two lines of about 30 characters.
        image: uint8 RGB (H, W, 3), or a map, float32 (H, W) in [0, 1].
        box: ``(y1, x1, y2, x2)``, half-open, or None.
        colour: of the box, :data:`SOURCE` or :data:`TARGET`.
        marks: pixels to mark.
    """

    caption: str
    image: np.ndarray
    box: Box | None = None
    colour: str = SOURCE
    marks: tuple[Mark, ...] = ()

    @property
    def alt(self) -> str:
        """The panel in words, for those who do not see it."""
        words = [self.caption.replace("\n", " ")]
        if self.box is not None:
            y1, x1, y2, x2 = self.box
            words.append(f"a box of {y2 - y1} rows and {x2 - x1} columns begins at row {y1}, column {x1}")
        words += [f"{PLACES[mark.symbol]} at row {mark.y}, column {mark.x}" for mark in self.marks]
        return "; ".join(words)


@dataclass(frozen=True)
class Example:
    """Panels that belong together, row by row, under a title of one line."""

    title: str
    panels: tuple[Panel, ...]
    columns: int = 4


def short_name(name: str) -> str:
    """A class name that fits: the first of several synonyms, cut at 18 characters."""
    first = name.split(",")[0].strip()
    return first if len(first) <= LONGEST_NAME else f"{first[: LONGEST_NAME - 1].rstrip()}…"


def mixed_label(lam: float, own: str, other: str) -> str:
    """The mixed label, on two lines: ``0.62 own`` and ``+ 0.38 other``."""
    own_share = round(lam, 2)
    return f"{own_share:.2f} {short_name(own)}\n+ {1 - own_share:.2f} {short_name(other)}"


def to_image(image: Tensor) -> np.ndarray:
    """uint8 (H, W, 3) from uint8 (3, H, W)."""
    return image.permute(1, 2, 0).cpu().numpy()


def to_box(box: Tensor) -> Box:
    """A box's four numbers, as Python's own."""
    y1, x1, y2, x2 = (int(number) for number in box)
    return y1, x1, y2, x2


def to_mark(point: Tensor, symbol: str) -> Mark:
    """A mark at ``(y, x)``."""
    return Mark(int(point[0]), int(point[1]), symbol)
