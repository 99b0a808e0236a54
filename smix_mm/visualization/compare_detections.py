"""Detections of several arms on the same images, with the true boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from ..evaluation import Detections, read_detections
from ..utils.choices import check_minimum
from ..utils.config import read_config
from ..utils.errors import UsageError
from ..utils.files import check_output, save_figure
from .image_files import read_image


def compare_detections(
    config: str | Path,
    files: Mapping[str, str | Path],
    out: str | Path,
    *,
    images: Sequence[str] = (),
    number: int = 4,
    seed: int = 0,
    score: float = 0.5,
    cfg_options: Mapping[str, Any] | None = None,
) -> Path:
    """Draw the same test images with the boxes of each arm; true boxes are dashed.

    Args:
        config: the detector's config, which names the image files.
        files: stored detections (``detections.npz``) by name; the name is the title of the column.
        out: the PNG to write.
        images: ids of the images. Empty: ``number`` images are drawn at random, uniformly.
        number: how many images to draw at random, at least 1.
        seed: seed of that draw, at least 0.
        score: boxes with a lower score are left out; in [0, 1].
        cfg_options: config settings to override, by dotted name.

    Returns:
        ``out``.

    Raises:
        UsageError: there are no files, they are of different test sets, an image is missing, ``out`` is one of the
            inputs, or an argument is out of range.
        DataError: a file does not contain detections, or an image cannot be read.
    """
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    if not files:
        raise UsageError("There should be at least one NAME=detections.npz, got none.")
    check_minimum("number", number, 1)
    check_minimum("seed", seed, 0)
    if not 0 <= score <= 1:
        raise UsageError(f"score should be from 0 to 1, got {score}.")
    check_output(out, config, *files.values())
    found = {name: read_detections(file) for name, file in files.items()}
    first = next(iter(found.values()))
    for name, each in found.items():
        if each.classes != first.classes or list(each.images) != list(first.images):
            raise UsageError(
                f"Detections should be of the same images and classes, but {name} and {next(iter(found))} differ."
            )
    known = [str(image) for image in first.images]
    if not images:
        drawn = np.random.RandomState(seed).permutation(len(known))[:number]
        images = [known[index] for index in sorted(drawn)]
    for image in images:
        if image not in known:
            raise UsageError(f"images should be ids of the detections, such as {known[0]}, got {image}.")
    cfg = read_config(config, cfg_options)
    init_default_scope("mmdet")
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    every = {str(info["img_id"]): info["img_path"] for info in infos}
    absent = [image for image in images if image not in every]
    if absent:
        raise UsageError(f"The test set of {config} has no image {absent[0]}; give the config of the detections.")
    paths = {known.index(image): every[image] for image in images}
    check_output(out, *paths.values())
    _draw(found, paths, score, Path(out))
    return Path(out)


def _draw(found: Mapping[str, Detections], paths: Mapping[int, str], score: float, out: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(3.6 * len(found), 2.9 * len(paths) + 0.3), layout="constrained")
    grid = figure.subplots(len(paths), len(found), squeeze=False)
    for row, (index, path) in enumerate(paths.items()):
        pixels = read_image(path)
        for axes, (name, each) in zip(grid[row], found.items()):
            axes.imshow(pixels)
            axes.axis("off")
            true = each.true_boxes[each.true_image_of == index]
            for x1, y1, x2, y2 in true:
                axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec="white", ls="--", lw=1))
            shown = (each.image_of == index) & (each.scores >= score)
            for (x1, y1, x2, y2), label, value in zip(each.boxes[shown], each.labels[shown], each.scores[shown]):
                axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=f"C{label % 10}", lw=1.3))
                axes.text(x1, y1 - 2, f"{each.classes[label]} {value:.2f}", fontsize=6, color=f"C{label % 10}")
            title = f"detections: {shown.sum()}, objects: {len(true)}"
            axes.set_title(f"{name}\n{title}" if row == 0 else title, fontsize=8)
    save_figure(figure, out, dpi=110)
