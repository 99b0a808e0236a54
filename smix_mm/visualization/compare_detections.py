"""Detections of several arms beside each other, with what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from ..evaluation import Detections, read_detections
from ..utils.config import read_config
from ..utils.errors import UsageError
from ..utils.files import atomic_path


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
        config: of the detector, for where the images are.
        files: stored detections (``detections.npz``) by the name that stands over the column.
        out: PNG to write.
        images: ids of the images. None given: ``number`` of them drawn evenly with ``seed``,
            not those that look best.
        number: how many to draw.
        seed: of that draw.
        score: boxes below it are left out.
        cfg_options: settings by dotted name, laid over the config.

    Returns:
        ``out``.

    Raises:
        UsageError: the files are of different test sets, or name images that the config has not.
        DataError: a file is not as wanted.
    """
    if not files:
        raise UsageError("got no detections; wanted NAME=detections.npz, one or more")
    found = {name: read_detections(file) for name, file in files.items()}
    first = next(iter(found.values()))
    for name, each in found.items():
        if each.classes != first.classes or list(each.images) != list(first.images):
            raise UsageError(f"{name} is of other images or classes than {next(iter(found))}; wanted one test set")
    known = [str(image) for image in first.images]
    if not images:
        draw = np.random.RandomState(seed).permutation(len(known))[:number]
        images = [known[place] for place in sorted(draw)]
    for image in images:
        if image not in known:
            raise UsageError(f"image {image} is not in the detections; wanted an id such as {known[0]}")
    paths = _paths(config, dict(cfg_options or {}))
    absent = [image for image in images if image not in paths]
    if absent:
        raise UsageError(f"the test set of {config} has no image {absent[0]}; wanted the config of the detections")
    return _draw(found, {image: paths[image] for image in images}, known, score, Path(out))


def _paths(config: str | Path, options: dict[str, Any]) -> dict[str, str]:
    """The files of a test set by the images' ids."""
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    cfg = read_config(config)
    cfg.merge_from_dict(options)
    init_default_scope("mmdet")
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = (dataset.get_data_info(place) for place in range(len(dataset)))
    return {str(info["img_id"]): info["img_path"] for info in infos}


def _draw(found: Mapping[str, Detections], paths: Mapping[str, str], known: list[str], score: float, out: Path) -> Path:
    import cv2
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(3.6 * len(found), 2.9 * len(paths) + 0.3), layout="constrained")
    grid = figure.subplots(len(paths), len(found), squeeze=False)
    for line, (image, path) in zip(grid, paths.items()):
        pixels = cv2.imread(path)
        if pixels is None:
            raise UsageError(f"image {path} cannot be read; wanted an image file")
        place = known.index(image)
        for axes, (name, each) in zip(line, found.items()):
            axes.imshow(pixels[..., ::-1])
            axes.axis("off")
            true = each.true_boxes[each.true_image_of == place]
            for x1, y1, x2, y2 in true:
                axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec="white", ls="--", lw=1))
            mine = (each.image_of == place) & (each.scores >= score)
            for (x1, y1, x2, y2), label, value in zip(each.boxes[mine], each.labels[mine], each.scores[mine]):
                axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=f"C{label % 10}", lw=1.3))
                axes.text(x1, y1 - 2, f"{each.classes[label]} {value:.2f}", fontsize=6, color=f"C{label % 10}")
            title = f"{mine.sum()} boxes, {len(true)} objects"
            axes.set_title(f"{name}\n{title}" if line is grid[0] else title, fontsize=8)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=110)
    return out
