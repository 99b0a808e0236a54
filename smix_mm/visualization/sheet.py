"""Examples, each a grid of panels, and a contact sheet of them, drawn with matplotlib."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
from torch import Tensor

from ..utils.files import atomic_path, save_figure

PANEL_INCHES, GAP_INCHES, CAPTION_INCHES, TITLE_INCHES = 1.83, 0.08, 0.4, 0.25
DPI = 100

SOURCE, TARGET, MARK = "#ff7f0e", "#17becf", "#39ff14"

MOST, LEAST, ANY = "+", "x", "o"
SYMBOLS = {"salient": MOST, "non_salient": LEAST, "random": ANY}
PLACES = {MOST: "most salient pixel", LEAST: "least salient pixel", ANY: "random place"}


@dataclass(frozen=True)
class Mark:
    """A marked pixel, in row ``y`` and column ``x``."""

    y: int
    x: int
    symbol: str  # MOST, LEAST or ANY


@dataclass(frozen=True)
class Panel:
    """One image, or saliency map, with a caption, a box and marks."""

    caption: str  # at most two lines of about 30 characters
    image: np.ndarray  # uint8 RGB (H, W, 3), or a saliency map, float32 (H, W) in [0, 1]
    box: tuple[int, ...] | None = None  # (y1, x1, y2, x2), half-open
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


def to_mark(point: Tensor, symbol: str) -> Mark:
    """A mark at a point, int64 (2,): ``(y, x)``."""
    y, x = point.tolist()
    return Mark(y, x, symbol)


def save_sheet(examples: Sequence[Example], path: str | Path, small: bool = False) -> None:
    """Write a sheet of one or more examples to an image file, whose suffix selects the format.

    With ``small``, a PNG of 256 colours takes a third of the bytes.

    Raises:
        ValueError: there is no example, or the suffix names no image format or, with ``small``, another than PNG.
    """
    if not small:
        save_figure(draw_sheet(examples), path)
        return
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"With small=True the file should end in .png, got {path}.")
    from PIL import Image, ImageColor

    image, palette = Image.fromarray(sheet_image(examples)), Image.new("P", (1, 1))
    # Boxes, marks and text cover few pixels, so a palette computed from the pixels alone would lose their colours.
    fixed = [ImageColor.getrgb(colour) for colour in (SOURCE, TARGET, MARK, "black", "white")]
    computed = image.quantize(256 - len(fixed)).getpalette() or []
    palette.putpalette(computed[: 3 * (256 - len(fixed))] + [value for colour in fixed for value in colour])
    with atomic_path(path) as temporary:
        image.quantize(palette=palette).save(temporary, optimize=True)


def sheet_image(examples: Sequence[Example]) -> np.ndarray:
    """A sheet of examples as an image, uint8 RGB (H, W, 3)."""
    canvas = draw_sheet(examples).canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_sheet(examples: Sequence[Example]) -> Any:
    """A matplotlib figure with the examples one below the other; a ValueError if there is none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not examples:
        raise ValueError("There should be at least one example to draw, got none.")
    shapes = [example.panels[0].image.shape for example in examples]
    heights = [
        TITLE_INCHES + example.rows * (PANEL_INCHES * height / width + CAPTION_INCHES)
        for example, (height, width, *_) in zip(examples, shapes)
    ]
    width = (PANEL_INCHES + GAP_INCHES) * max(example.columns for example in examples)
    figure = Figure(figsize=(width, sum(heights)), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(len(examples), 1, squeeze=False, height_ratios=heights)
    for part, example in zip(parts[:, 0], examples):
        part.suptitle(example.title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        grid = part.subplots(example.rows, example.columns, squeeze=False).ravel()
        for axes in grid:
            axes.axis("off")
        for axes, panel in zip(grid, example.panels):
            draw_panel(axes, panel)
            caption = axes.set_title(panel.caption, fontsize=9, linespacing=1.1, pad=3)
            too_wide = caption.get_window_extent().width / (PANEL_INCHES * DPI)
            if too_wide > 1:
                caption.set_fontsize(9 / too_wide)
    return figure


def panel_png(panel: Panel) -> bytes:
    """A PNG of a panel without its caption, in which a side of the image has about 224 pixels or more."""
    from matplotlib.figure import Figure

    height, width = panel.image.shape[:2]
    inches = max(1, round(224 / max(height, width))) / DPI
    figure, buffer = Figure(figsize=(width * inches, height * inches), dpi=DPI), io.BytesIO()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    draw_panel(axes, panel)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_panel(axes: Any, panel: Panel) -> None:
    """Draw a panel, its box and its marks into matplotlib axes."""
    from matplotlib.patches import Rectangle

    axes.imshow(panel.image, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    if panel.box is not None:
        y1, x1, y2, x2 = panel.box
        # Twice, with black below, to be visible on any image; target boxes are also dashed.
        dashes = "--" if panel.colour == TARGET else "-"
        for colour, thickness, style in (("black", 3.0, "-"), (panel.colour, 1.6, dashes)):
            # Pixel centres have integer coordinates, so a pixel begins half a unit before.
            place = (x1 - 0.5, y1 - 0.5)
            axes.add_patch(
                Rectangle(place, x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=thickness, linestyle=style)
            )
    for mark in panel.marks:
        for colour, thickness in (("black", 4.0), (MARK, 2.0)):
            axes.plot(
                mark.x, mark.y, mark.symbol, color=colour, markersize=11, markeredgewidth=thickness,
                fillstyle="none", clip_on=False,
            )  # fmt: skip
