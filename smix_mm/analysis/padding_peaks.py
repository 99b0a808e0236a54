"""How often the most salient pixel lies in what a crop has padded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch

from ..saliency import FineGrainedSaliency
from ..utils.files import atomic_path
from ..utils.progress import track
from ..visualization.image_files import choose, list_images, read_image

WAYS = {"zeros": "constant", "reflection": "reflect", "no padding": None}
"""Ways of padding by name, with numpy's name for them; the last leaves the image as it is."""


def measure_padding(
    places: Sequence[str | Path], *, padding: int = 4, number: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Count the true map's peaks in the part of an image that padding before a random crop put there.

    Each image is padded on all sides and cut back to its size at a random place, as is usual for
    CIFAR. Every way of padding gets the same places; without padding, the peaks of the whole image
    are counted where padding would have been.

    Args:
        places: files and folders of images of one size, as
            :func:`~smix_mm.visualization.image_files.list_images` takes them.
        padding: pixels on each side, at least 1 and less than the image's sides.
        number: files at most, drawn at random. Defaults to all.
        seed: of that draw, of the crops and of random ties; 0 or more.

    Returns:
        ``images``, ``height``, ``width``, ``padding``; ``share_of_area_padded`` (0 to 1, mean);
        ``share_of_peaks_there``, a dict by way of padding and then by ties (``first`` in row order,
        the default of the method, or ``random``); and ``peaks``, by way, int (H, W) as lists: how
        many peaks lie at each pixel (first ties).

    Raises:
        ValueError: a file or a number is not as wanted.
    """
    if padding < 1 or seed < 0 or (number is not None and number < 1):
        raise ValueError(f"padding, number and seed are {padding}, {number}, {seed}; wanted at least 1, 1 and 0")
    files = choose(list_images(places), number, seed)
    images = _read(files)
    count, height, width, _ = images.shape
    if padding >= min(height, width):
        raise ValueError(f"padding is {padding} for images of {height}x{width}; wanted less than their sides")
    places_of_crops = np.random.default_rng(seed).integers(2 * padding, size=(count, 2), endpoint=True)
    rim = np.pad(np.zeros((height, width), bool), padding, constant_values=True)
    padded = np.stack([rim[top : top + height, left : left + width] for top, left in places_of_crops])
    detector = FineGrainedSaliency()
    shares: dict[str, dict[str, float]] = {}
    maps: dict[str, list[list[int]]] = {}
    for name, way in WAYS.items():
        crops = images if way is None else _cropped(images, places_of_crops, padding, way)
        batch = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
        shares[name] = {}
        for ties in ("random", "first"):
            y, x = detector.peak(batch, ties, torch.Generator().manual_seed(seed)).numpy().T
            shares[name][ties] = float(padded[np.arange(count), y, x].mean())
        maps[name] = np.bincount(y * width + x, minlength=height * width).reshape(height, width).tolist()
    return dict(
        images=count,
        height=height,
        width=width,
        padding=padding,
        share_of_area_padded=float(padded.mean()),
        share_of_peaks_there=shares,
        peaks=maps,
    )


def _read(files: Sequence[Path]) -> np.ndarray:
    images = []
    for path in track(files, "images"):
        images.append(read_image(path))
        if images[-1].shape != images[0].shape:
            sizes = " and ".join(f"{one.shape[0]}x{one.shape[1]}" for one in (images[0], images[-1]))
            raise ValueError(f"{path} differs in size from those before, {sizes}; wanted images of one size")
    return np.stack(images)


def _cropped(images: np.ndarray, places: np.ndarray, padding: int, way: Any) -> np.ndarray:
    height, width = images.shape[1:3]
    wide = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=way)
    return np.stack([image[top : top + height, left : left + width] for image, (top, left) in zip(wide, places)])


def format_padding(result: dict[str, Any]) -> str:
    """The shares as a Markdown table."""
    size = f"{result['images']} images of {result['height']}x{result['width']}"
    lines = [
        f"| {size}, padded by {result['padding']} and cropped | area % | peaks there, first of ties % | random tie % |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, shares in result["share_of_peaks_there"].items():
        area = f"{result['share_of_area_padded']:.1%}"
        lines.append(f"| {name} | {area} | {shares['first']:.1%} | {shares['random']:.1%} |".replace("%", ""))
    return "\n".join(lines)


def draw_padding(result: dict[str, Any], path: str | Path) -> None:
    """Draw how many peaks lie at each pixel, for each way of padding on one scale."""
    from matplotlib.colors import SymLogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.1), layout="constrained")
    grid = figure.subplots(1, len(WAYS))
    top = max(np.max(peaks) for peaks in result["peaks"].values())
    for axes, name in zip(grid, WAYS):
        image = axes.imshow(np.array(result["peaks"][name]), cmap="magma", norm=SymLogNorm(1, vmin=0, vmax=top))
        share = result["share_of_peaks_there"][name]["first"]
        area = result["share_of_area_padded"]
        axes.set_title(f"{name}: {share:.1%} of the peaks\nin {area:.1%} of the area", fontsize=10)
        axes.axis("off")
    figure.colorbar(image, ax=grid, label="peaks at a pixel", shrink=0.85, ticks=[0, 1, 10, 100, 1000], format="%d")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
