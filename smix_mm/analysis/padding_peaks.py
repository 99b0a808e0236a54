"""How often the most salient pixel lies in the padding of a random crop."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch

from ..saliency import FineGrainedSaliency
from ..saliency.base import map_extreme
from ..utils.choices import check_minimum
from ..utils.files import save_figure
from ..utils.progress import track
from ..utils.text import markdown_table
from ..visualization.image_files import choose, list_images, read_image

BEFORE = "zeros, map before the crop"
PADDING_MODES = {"zeros": "constant", BEFORE: "constant", "reflection": "reflect", "no padding": None}
"""numpy's padding modes, by their name in the results; the last leaves the image unchanged."""

BESIDE = 2
"""How far from the padding a peak is beside it, pixels."""


def measure_padding(
    places: Sequence[str | Path], *, padding: int = 4, number: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Count the saliency peaks that lie in the padding of random crops.

    Each image is padded on all sides and cropped to its size at a random position, as is usual for
    CIFAR. All padding modes get the same positions. In "zeros, map before the crop" the map of the original image is
    cropped, as with ``saliency_before_crop``. For "no padding" the peaks of the original image that lie where the
    padding would be are counted.

    Args:
        places: files and folders of images of one size, as
            :func:`~smix_mm.visualization.image_files.list_images` takes them.
        padding: pixels on each side, at least 1 and less than the image's sides. Default: 4.
        number: maximal number of files, drawn at random, at least 1. Defaults to all.
        seed: of that draw, of the crops and of random ties, at least 0. Default: 0.

    Returns:
        ``images``, ``height``, ``width``, ``padding``; ``share_of_area_padded`` (mean, 0 to 1);
        ``share_of_peaks_there``, the share of peaks in the padding (0 to 1) by padding mode and then by ties (``first``
        in row order, the default of the method, or ``random``); ``share_of_area_beside`` and ``share_of_peaks_beside``,
        the same for the pixels within 2 pixels of the padding; and ``peaks``, by padding mode, the number of peaks at
        each pixel (first ties) as nested lists (H, W) of int.

    Raises:
        ValueError: a file cannot be read, or a number is out of range.
    """
    for name, value, minimum in (("padding", padding, 1), ("number", number, 1), ("seed", seed, 0)):
        check_minimum(name, value, minimum)
    read: list[np.ndarray] = []
    for path in track(choose(list_images(places), number, seed), "images"):
        read.append(read_image(path))
        if read[-1].shape != read[0].shape:
            sizes = " and ".join(f"{one.shape[0]}x{one.shape[1]}" for one in (read[0], read[-1]))
            raise ValueError(f"images should have one size, got {sizes} ({path}).")
    images = np.stack(read)
    count, height, width, _ = images.shape
    if padding >= min(height, width):
        raise ValueError(f"padding should be less than the sides of the images, {height}x{width}, got {padding}.")
    positions = np.random.default_rng(seed).integers(2 * padding, size=(count, 2), endpoint=True)
    rim = np.pad(np.zeros((height, width), bool), padding, constant_values=True)
    padded = np.stack([rim[top : top + height, left : left + width] for top, left in positions])
    around = np.pad(padded, ((0, 0), (BESIDE, BESIDE), (BESIDE, BESIDE)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (2 * BESIDE + 1,) * 2, axis=(1, 2))
    beside = windows.any((3, 4)) & ~padded
    detector = FineGrainedSaliency()
    shares: dict[str, dict[str, float]] = {name: {} for name in PADDING_MODES}
    nearby: dict[str, dict[str, float]] = {name: {} for name in PADDING_MODES}
    maps: dict[str, list[list[int]]] = {}
    for name, mode in PADDING_MODES.items():
        crops = images if mode is None or name == BEFORE else _pad_and_crop(images, positions, padding, mode)
        found = detector(torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))))
        if name == BEFORE:
            # Less than any saliency, so that no pixel of the padding is chosen.
            maps_with_rim = _pad_and_crop(found[..., None].numpy(), positions, padding, mode, constant_values=-1)
            found = torch.from_numpy(maps_with_rim[..., 0])
        pick = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for ties, share in (("random", pick), ("first", None)):
            y, x = map_extreme(found, True, share)[0].numpy().T
            shares[name][ties] = float(padded[np.arange(count), y, x].mean())
            nearby[name][ties] = float(beside[np.arange(count), y, x].mean())
        maps[name] = np.bincount(y * width + x, minlength=height * width).reshape(height, width).tolist()
    return dict(
        images=count,
        height=height,
        width=width,
        padding=padding,
        share_of_area_padded=float(padded.mean()),
        share_of_peaks_there=shares,
        share_of_area_beside=float(beside.mean()),
        share_of_peaks_beside=nearby,
        peaks=maps,
    )


def _pad_and_crop(images: np.ndarray, positions: np.ndarray, padding: int, mode: Any, **options: int) -> np.ndarray:
    height, width = images.shape[1:3]
    wide = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode, **options)
    return np.stack([image[top : top + height, left : left + width] for image, (top, left) in zip(wide, positions)])


def format_padding(result: dict[str, Any]) -> str:
    """The shares as a Markdown table."""
    images = f"{result['images']} images of {result['height']}x{result['width']}"
    header = [
        f"{images}, padded by {result['padding']} and cropped", "area %", "peaks there, first of ties %",
        "random tie %", "area beside %", "peaks beside, first of ties %", "random tie %",
    ]  # fmt: skip
    rows = []
    for name, shares in result["share_of_peaks_there"].items():
        nearby = result["share_of_peaks_beside"][name]
        values = [result["share_of_area_padded"], shares["first"], shares["random"]]
        values += [result["share_of_area_beside"], nearby["first"], nearby["random"]]
        rows.append([name, *(f"{value:.1%}"[:-1] for value in values)])
    return markdown_table(header, rows, "lr")


def draw_padding(result: dict[str, Any], path: str | Path) -> None:
    """Draw the number of peaks at each pixel, for all padding modes on one scale."""
    from matplotlib.colors import SymLogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 3.1), layout="constrained")
    grid = figure.subplots(1, len(PADDING_MODES))
    top = max(np.max(peaks) for peaks in result["peaks"].values())
    for axes, name in zip(grid, PADDING_MODES):
        image = axes.imshow(np.array(result["peaks"][name]), cmap="magma", norm=SymLogNorm(1, vmin=0, vmax=top))
        share = result["share_of_peaks_there"][name]["first"]
        area = result["share_of_area_padded"]
        axes.set_title(f"{name}: {share:.1%} of the peaks\nin {area:.1%} of the area", fontsize=10)
        axes.axis("off")
    figure.colorbar(image, ax=grid, label="peaks at a pixel", shrink=0.85, ticks=[0, 1, 10, 100, 1000], format="%d")
    save_figure(figure, path, dpi=100)
