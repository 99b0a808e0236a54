"""The saliency map that the released code gets beside the true one: on an image, and over many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor

from ..batch_augments.official import first_peaks, normalize, released_code_maps
from ..saliency import FineGrainedSaliency
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.files import atomic_path
from ..utils.progress import track
from ..visualization.image_files import centre_crop, choose, list_images, random_crops, read_image
from ..visualization.panels import ANY, MOST, Example, Panel, to_mark
from ..visualization.sheet import save_sheet

TRUE, RELEASED = "true map", "released code's map"
COLOURS = {TRUE: "tab:blue", RELEASED: "tab:red"}


@dataclass(frozen=True)
class Peaks:
    """Where the two maps of each of N square images peak, and how alike the maps are.

    Attributes:
        size: side of the images, pixels.
        files: from how many image files they were cut.
        true: int64 (N, 2), (y, x) of the true map's first maximum.
        released: int64 (N, 2), the same of the map that the released code gets.
        correlations: float64 (N,), Pearson's, of the two maps over all pixels; NaN where one is constant.
    """

    size: int
    files: int
    true: np.ndarray
    released: np.ndarray
    correlations: np.ndarray

    def distances(self) -> np.ndarray:
        """float64 (N,): pixels between the two peaks of each image."""
        return np.linalg.norm(self.true - self.released, axis=1)

    def distances_to_others(self) -> np.ndarray:
        """float64 (N * others,): from each released peak to the true peaks of up to 100 other images.

        What :meth:`distances` would be if the released code's map knew nothing of its image.
        """
        count = len(self.true)
        shifts = np.unique(np.linspace(1, count - 1, min(count - 1, 100)).round().astype(int))
        apart = [np.linalg.norm(np.roll(self.true, shift, 0) - self.released, axis=1) for shift in shifts]
        return np.concatenate(apart) if apart else np.zeros(0)

    def summary(self) -> dict[str, Any]:
        """The figures, ready for JSON; distances in pixels, shares from 0 to 1, None for what is unknown."""
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


def _maps(crops: Sequence[np.ndarray], mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """True and released maps, float32 (N, H, W) each, of uint8 RGB (H, W, 3)."""
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return FineGrainedSaliency()(images), released_code_maps(normalize(images, mean, std))


def show_released_code_map(
    image: str | Path,
    out: str | Path | None = None,
    *,
    size: int = 224,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Peaks:
    """Draw one image, its true saliency map and the map that the released code gets, with both peaks.

    The released code hands OpenCV's detector the normalised float image, which the detector
    reads as bytes (see :func:`smix_mm.batch_augments.official.released_code_maps`).

    Args:
        image: a file, of which the middle square is taken, or ``skimage:NAME``.
        out: image file to write; None writes none.
        size: side that the square is resized to, pixels, at least 3.
        mean, std: of the normalisation, in RGB order. Default: ImageNet's.

    Raises:
        ValueError: the file or a number is not as wanted.
        ImportError: OpenCV's contrib build is missing.
    """
    _check_size(size)
    (path,) = list_images([image])
    crop = centre_crop(read_image(path), size)
    true, released = _maps([crop], mean, std)
    peaks = _peaks(size, true, released)
    if out is not None:
        best, found = to_mark(first_peaks(true)[0], MOST), to_mark(first_peaks(released)[0], ANY)
        panels = (
            Panel("image: + true peak,\no released code's peak", crop, marks=(best, found)),
            Panel("true map\nof the bytes", true[0].numpy(), marks=(best,)),
            Panel("map that the released code\ngets of the floats", released[0].numpy(), marks=(found,)),
        )
        apart, alike = peaks.distances()[0], peaks.correlations[0]
        title = f"Peaks {apart:.0f} of {size} pixels apart, correlation of the maps {alike:.3f}"
        save_sheet([Example(title, panels, 3)], out)
    return peaks


def measure_released_code_map(
    places: Sequence[str | Path],
    *,
    size: int = 224,
    crops: int = 1,
    number: int | None = None,
    seed: int = 0,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Peaks:
    """Find the peaks of both maps on many images.

    Args:
        places: files and folders, as :func:`~smix_mm.visualization.image_files.list_images` takes them.
        size: side of the images looked at, pixels, at least 3.
        crops: 1 for the middle square of each file; more for so many random squares of it.
        number: files at most, drawn at random. Defaults to all.
        seed: of that draw and of the squares; 0 or more.
        mean, std: of the normalisation, in RGB order. Default: ImageNet's.

    Raises:
        ValueError: a file or a number is not as wanted.
        ImportError: OpenCV's contrib build is missing.
    """
    _check_size(size)
    if crops < 1 or seed < 0 or (number is not None and number < 1):
        raise ValueError(f"crops, number and seed are {crops}, {number}, {seed}; wanted at least 1, 1 and 0")
    random = np.random.default_rng(seed)
    files = choose(list_images(places), number, seed)
    parts = []
    for path in track(files, "maps"):
        image = read_image(path)
        squares = [centre_crop(image, size)] if crops == 1 else list(random_crops(image, size, crops, random))
        parts.append(_peaks(size, *_maps(squares, mean, std)))
    true, released, correlations = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("true", "released", "correlations")
    )
    return Peaks(size, len(files), true, released, correlations)


def _check_size(size: int) -> None:
    if size < 3:
        raise ValueError(f"size is {size}; wanted a side of at least 3 pixels")


def _peaks(size: int, true: Tensor, released: Tensor) -> Peaks:
    """Of the maps of one file."""
    pairs = zip(true.flatten(1).double(), released.flatten(1).double())
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.array([np.corrcoef(one, other)[0, 1] for one, other in pairs])
    return Peaks(size, 1, first_peaks(true).numpy(), first_peaks(released).numpy(), correlations)


def format_peaks(peaks: Peaks) -> str:
    """The summary as a Markdown table; of one image, the peaks themselves."""
    figures = peaks.summary()
    tenth = figures["share_of_peaks_in_top_tenth_of_rows"]
    others = figures["median_distance_to_peaks_of_other_images"]
    rows = [("images", f"{figures['images']}, {peaks.size}x{peaks.size}, cut from {peaks.files} files")]
    for name, points in ((TRUE, peaks.true), (RELEASED, peaks.released)):
        if len(points) == 1:
            rows.append((f"peak of the {name}", f"row {points[0, 0]}, column {points[0, 1]}"))
        else:
            rows.append((f"peaks of the {name} in the top tenth of the rows", f"{tenth[name]:.1%}"))
    rows.append(("pixels between the two peaks, median", _number(figures["median_distance"], 1)))
    if others is not None:
        rows.append(("the same to true peaks of other images", _number(others, 1)))
    rows.append(("correlation of the two maps, mean", _number(figures["mean_correlation"], 4)))
    rows.append(("correlation of the two maps, median", _number(figures["median_correlation"], 4)))
    return "\n".join(["| what | value |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)])


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def draw_peaks(peaks: Peaks, path: str | Path) -> None:
    """Draw where the peaks lie, by tenths of the rows, and how far apart they are.

    Raises:
        ValueError: fewer than two images.
    """
    from matplotlib.figure import Figure

    if len(peaks.true) < 2:
        raise ValueError("there is one image; wanted two or more for a distribution")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    rows, apart = figure.subplots(1, 2)
    tenths = np.arange(10)
    for shift, (name, points) in zip((-0.2, 0.2), ((TRUE, peaks.true), (RELEASED, peaks.released))):
        share = np.bincount(points[:, 0] * 10 // peaks.size, minlength=10) / len(points)
        rows.bar(tenths + shift, 100 * share, 0.4, color=COLOURS[name], label=name)
    rows.axhline(10, color="black", linestyle="--", linewidth=1, label="evenly spread")
    rows.set(xlabel="tenth of the rows, from the top", ylabel="peaks, %", xticks=tenths, xticklabels=tenths + 1)
    bins = np.linspace(0, peaks.size * 2**0.5, 15)
    kinds = (
        ("true peak of the same image", peaks.distances(), "-"),
        ("of other images", peaks.distances_to_others(), "--"),
    )
    for name, values, style in kinds:
        share = 100 * np.histogram(values, bins)[0] / len(values)
        apart.stairs(share, bins, color="black", linestyle=style, linewidth=1.5, label=name)
    apart.set(xlabel=f"pixels from the released code's peak, of {peaks.size}", ylabel="images, %")
    apart.set_ylim(0, 1.3 * apart.get_ylim()[1])
    for axes in (rows, apart):
        axes.legend(fontsize=9, frameon=False)
    figure.suptitle(f"{len(peaks.true)} images, cut from {peaks.files} files", fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
