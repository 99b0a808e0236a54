"""A contact sheet of examples, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor

from ..mixing import MixOptions, draw_mix
from ..saliency import FineGrainedSaliency, SaliencyDetector
from ..utils.files import atomic_path
from .examples import mix_examples
from .mixes import mix_images
from .panels import MARK, SOURCE, TARGET, Example, Panel

PANEL_INCHES, GAP_INCHES, CAPTION_INCHES, TITLE_INCHES = 1.83, 0.08, 0.4, 0.25
DPI = 100


def draw_mix_sheet(
    images: Tensor,
    labels: Sequence[str],
    path: str | Path,
    *,
    rows: int = 6,
    seed: int = 0,
    options: MixOptions | None = None,
    detector: SaliencyDetector | None = None,
) -> None:
    """Draw how images are mixed: source, its saliency map with the box, target, result.

    Args:
        images: uint8 RGB (N, 3, H, W), at least two.
        labels: a name for each.
        path: the PNG to write.
        rows: mixes to show; those of an image with itself are left out.
        seed: of partners and λ.
        options: see :class:`~smix_mm.mixing.MixOptions`. Defaults to the paper's.
        detector: default fine-grained saliency.

    Raises:
        ValueError: fewer than two images, or not as many labels.
    """
    if len(images) < 2 or len(labels) != len(images):
        raise ValueError(f"{len(images)} images and {len(labels)} labels; wanted two or more, a label each")
    options = options or MixOptions()
    draw = draw_mix(len(images), options.alpha, torch.Generator().manual_seed(seed))
    mix = mix_images(images, draw, options, detector or FineGrainedSaliency())
    save_sheet(mix_examples(mix, labels)[:rows], path)


def save_sheet(examples: Sequence[Example], path: str | Path, small: bool = False) -> None:
    """Write the sheet of examples to an image file.

    Args:
        examples: one or more.
        path: the file; its ending says which format.
        small: a PNG of 256 colours, which takes a third of the bytes.

    Raises:
        ValueError: there is no example, or no such format.
    """
    if small and Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path} is to be small; wanted a file ending in .png")
    figure = draw_sheet(examples)
    with atomic_path(path) as temporary:
        if small:
            _in_256_colours(_pixels(figure)).save(temporary, optimize=True)
        else:
            figure.savefig(temporary)


def _in_256_colours(pixels: np.ndarray) -> Any:
    from PIL import Image, ImageColor

    image, palette = Image.fromarray(pixels), Image.new("P", (1, 1))
    # Those drawn with are few pixels, so a palette made for the pixels alone would lose them.
    drawn = [ImageColor.getrgb(colour) for colour in (SOURCE, TARGET, MARK, "black", "white")]
    chosen = image.quantize(256 - len(drawn)).getpalette() or []
    palette.putpalette(chosen[: 3 * (256 - len(drawn))] + [value for colour in drawn for value in colour])
    return image.quantize(palette=palette)


def sheet_image(examples: Sequence[Example]) -> np.ndarray:
    """The sheet of examples as an image, uint8 RGB (H, W, 3)."""
    return _pixels(draw_sheet(examples))


def _pixels(figure: Any) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def draw_sheet(examples: Sequence[Example]) -> Any:
    """A matplotlib figure of examples, one under the other.

    Raises:
        ValueError: there is no example.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not examples:
        raise ValueError("there is no example to draw; wanted a batch in which images are pasted on others")
    heights = [_height(example) for example in examples]
    width = (PANEL_INCHES + GAP_INCHES) * max(example.columns for example in examples)
    figure = Figure(figsize=(width, sum(heights)), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(len(examples), 1, squeeze=False, height_ratios=heights)
    for part, example in zip(parts[:, 0], examples):
        part.suptitle(example.title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        rows = -(-len(example.panels) // example.columns)
        grid = part.subplots(rows, example.columns, squeeze=False).ravel()
        for axes in grid:
            axes.axis("off")
        for axes, panel in zip(grid, example.panels):
            draw_panel(axes, panel)
    return figure


def _height(example: Example) -> float:
    rows = -(-len(example.panels) // example.columns)
    height, width = example.panels[0].image.shape[:2]
    return TITLE_INCHES + rows * (PANEL_INCHES * height / width + CAPTION_INCHES)


def draw_panel(axes: Any, panel: Panel) -> None:
    """Draw a panel into matplotlib axes."""
    from matplotlib.patches import Rectangle

    axes.imshow(panel.image, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    caption = axes.set_title(panel.caption, fontsize=9, linespacing=1.1, pad=3)
    too_wide = caption.get_window_extent().width / (PANEL_INCHES * DPI)
    if too_wide > 1:
        caption.set_fontsize(9 / too_wide)
    if panel.box is not None:
        y1, x1, y2, x2 = panel.box
        # Twice, black below, so that it is seen on any image; target boxes are dashed as well.
        dashes = "--" if panel.colour == TARGET else "-"
        for colour, thickness, style in (("black", 3.0, "-"), (panel.colour, 1.6, dashes)):
            # Pixel centres lie on whole numbers, so a pixel begins half a unit before.
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
