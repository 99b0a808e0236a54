"""The saliency map that the released code computes, compared with that of the uint8 image, the true map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import normalize

from ..batch_augments.official import released_code_maps
from ..saliency import FineGrainedSaliency
from ..saliency.base import map_extreme
from ..utils.choices import check_minimum
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.files import save_figure
from ..utils.progress import track
from ..utils.text import markdown_table
from ..visualization.image_files import centre_crop, choose, list_images, random_crops, read_image
from ..visualization.sheet import ANY, MOST, Example, Panel, save_sheet, to_mark

TRUE, RELEASED = "true map", "released code's map"


@dataclass(frozen=True)
class Peaks:
    """The peaks of the two maps of N square images, and the correlations of the maps.

    Attributes:
        size: side of the images in pixels.
        files: number of image files from which they were cropped.
        true: int64 (N, 2), (y, x) of the true map's first maximum.
        released: int64 (N, 2), (y, x) of the first maximum of the released code's map.
        correlations: float64 (N,), Pearson's correlation of the two maps over all pixels; NaN if one is constant.
    """

    size: int
    files: int
    true: np.ndarray
    released: np.ndarray
    correlations: np.ndarray

    def distances(self) -> np.ndarray:
        """Distances in pixels between the two peaks of each image, float64 (N,)."""
        return np.linalg.norm(self.true - self.released, axis=1)

    def distances_to_others(self) -> np.ndarray:
        """Distances in pixels from each released peak to the true peaks of up to 100 other images, float64 (M,).

        These are what :meth:`distances` would be if the released code's map were independent of its image.
        """
        count = len(self.true)
        shifts = np.unique(np.linspace(1, count - 1, min(count - 1, 100)).round().astype(int))
        apart = [np.linalg.norm(np.roll(self.true, shift, 0) - self.released, axis=1) for shift in shifts]
        return np.concatenate(apart) if apart else np.zeros(0)

    def summary(self) -> dict[str, Any]:
        """The figures for JSON: distances in pixels, shares from 0 to 1, None for undefined figures."""
        others, known = self.distances_to_others(), self.correlations[np.isfinite(self.correlations)]
        return dict(
            images=len(self.true),
            files=self.files,
            size=self.size,
            share_of_peaks_in_top_tenth_of_rows={
                name: float((points[:, 0] < self.size / 10).mean())
                for name, points in ((TRUE, self.true), (RELEASED, self.released))
            },
            median_distance=float(np.median(self.distances())),
            median_distance_to_peaks_of_other_images=float(np.median(others)) if len(others) else None,
            mean_correlation=float(known.mean()) if len(known) else None,
            median_correlation=float(np.median(known)) if len(known) else None,
        )


def show_released_code_map(
    image: str | Path,
    out: str | Path | None = None,
    *,
    size: int = 224,
) -> Peaks:
    """Draw one image, its true saliency map and the released code's map, with both peaks; normalised as for ImageNet.

    Args:
        image: a file, of which the central square is used, or ``skimage:NAME``.
        out: image file to write, or None.
        size: side in pixels to which the square is resized, at least 3. Default: 224.

    Raises:
        ValueError: the file cannot be read, or a number is out of range.
        PackageError: OpenCV's contrib build is missing.
    """
    check_minimum("size", size, 3)
    (path,) = list_images([image])
    crop = centre_crop(read_image(path), size)
    peaks, true, released = _find_peaks([crop])
    if out is not None:
        true_mark, released_mark = to_mark(peaks.true[0], MOST), to_mark(peaks.released[0], ANY)
        panels = (
            Panel("image: + true peak,\no released code's peak", crop, marks=(true_mark, released_mark)),
            Panel("true map\nof the bytes", true[0].numpy(), marks=(true_mark,)),
            Panel("map that the released code\ngets of the floats", released[0].numpy(), marks=(released_mark,)),
        )
        distance, correlation = peaks.distances()[0], peaks.correlations[0]
        title = f"Peaks {distance:.0f} of {size} pixels apart, correlation of the maps {correlation:.3f}"
        save_sheet([Example(title, panels, 3)], out)
    return peaks


def _find_peaks(crops: Sequence[np.ndarray]) -> tuple[Peaks, Tensor, Tensor]:
    """The peaks in squares of one file, uint8 RGB (H, W, 3), and the true and released maps, float32 (N, H, W)."""
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    true = FineGrainedSaliency()(images)
    released = released_code_maps(normalize(images.float(), IMAGENET_MEAN, IMAGENET_STD))
    pairs = zip(true.flatten(1).double(), released.flatten(1).double())
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.array([np.corrcoef(one, other)[0, 1] for one, other in pairs])
    points = [map_extreme(maps, True, None)[0].numpy() for maps in (true, released)]
    return Peaks(len(crops[0]), 1, points[0], points[1], correlations), true, released


def measure_released_code_map(
    places: Sequence[str | Path],
    *,
    size: int = 224,
    crops: int = 1,
    number: int | None = None,
    seed: int = 0,
) -> Peaks:
    """Find the peaks of both maps on many images.

    Args:
        places: files and folders, as :func:`~smix_mm.visualization.image_files.list_images` takes them.
        size: as for :func:`show_released_code_map`, as are the errors.
        crops: 1 for the central square of each file, or the number of random squares. Default: 1.
        number: maximal number of files, drawn at random, at least 1. Defaults to all.
        seed: of that draw and of the squares, at least 0. Default: 0.
    """
    for name, value, minimum in (("size", size, 3), ("crops", crops, 1), ("number", number, 1), ("seed", seed, 0)):
        check_minimum(name, value, minimum)
    random = np.random.default_rng(seed)
    files = choose(list_images(places), number, seed)
    parts = []
    for path in track(files, "maps"):
        image = read_image(path)
        squares = [centre_crop(image, size)] if crops == 1 else list(random_crops(image, size, crops, random))
        parts.append(_find_peaks(squares)[0])
    true, released, correlations = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("true", "released", "correlations")
    )
    return Peaks(size, len(files), true, released, correlations)


def format_peaks(peaks: Peaks) -> str:
    """The summary as a Markdown table; for one image, with the positions of the peaks."""
    figures = peaks.summary()
    tenth = figures["share_of_peaks_in_top_tenth_of_rows"]
    others = figures["median_distance_to_peaks_of_other_images"]
    rows = [("images", f"{figures['images']}, {peaks.size}x{peaks.size}, cut from {peaks.files} files")]
    for name, points in ((TRUE, peaks.true), (RELEASED, peaks.released)):
        if len(points) == 1:
            rows.append((f"peak of the {name}", f"row {points[0, 0]}, column {points[0, 1]}"))
        else:
            rows.append((f"peaks of the {name} in the top tenth of the rows", f"{tenth[name]:.1%}"))
    rows.append(("pixels between the two peaks, median", f"{figures['median_distance']:.1f}"))
    if others is not None:
        rows.append(("the same to true peaks of other images", f"{others:.1f}"))
    for name in ("mean", "median"):
        value = figures[f"{name}_correlation"]
        rows.append((f"correlation of the two maps, {name}", "-" if value is None else f"{value:.4f}"))
    return markdown_table(["what", "value"], rows, "lr")


def draw_peaks(peaks: Peaks, path: str | Path) -> None:
    """Draw the distribution of the peaks over tenths of the rows, and of the distances between the two peaks.

    A ValueError unless there are two images or more.
    """
    from matplotlib.figure import Figure

    if len(peaks.true) < 2:
        raise ValueError(f"peaks should be of two or more images, got {len(peaks.true)}.")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    rows, apart = figure.subplots(1, 2)
    tenths = np.arange(10)
    for shift, name, points, colour in (
        (-0.2, TRUE, peaks.true, "tab:blue"),
        (0.2, RELEASED, peaks.released, "tab:red"),
    ):
        share = np.bincount(points[:, 0] * 10 // peaks.size, minlength=10) / len(points)
        rows.bar(tenths + shift, 100 * share, 0.4, color=colour, label=name)
    rows.axhline(10, color="black", linestyle="--", linewidth=1, label="evenly spread")
    rows.set(xlabel="tenth of the rows, from the top", ylabel="peaks, %", xticks=tenths, xticklabels=tenths + 1)
    bins = np.linspace(0, peaks.size * 2**0.5, 15)
    for name, values, style in (
        ("true peak of the same image", peaks.distances(), "-"),
        ("of other images", peaks.distances_to_others(), "--"),
    ):
        share = 100 * np.histogram(values, bins)[0] / len(values)
        apart.stairs(share, bins, color="black", linestyle=style, linewidth=1.5, label=name)
    apart.set(xlabel=f"pixels from the released code's peak, of {peaks.size}", ylabel="images, %")
    apart.set_ylim(0, 1.3 * apart.get_ylim()[1])
    for axes in (rows, apart):
        axes.legend(fontsize=9, frameon=False)
    figure.suptitle(f"{len(peaks.true)} images, cut from {peaks.files} files", fontsize=10)
    save_figure(figure, path, dpi=100)
