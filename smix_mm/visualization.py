"""Pictures of maps, boxes and mixed batches."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import numpy as np
import torch
from torch import Tensor

from .config import read_config
from .fileio import atomic_path
from .mixing import Scheme, draw_mix, paste, plan_mix
from .saliency import FineGrainedSaliency, SaliencyDetector

SOURCE, TARGET = "tab:orange", "tab:cyan"


def training_pictures(config: str | Path, count: int = 24) -> tuple[Tensor, list[str]]:
    """Pictures as a classification config's own pipeline gives them, evenly spread over its training set.

    Args:
        config: config of mmpretrain; its pictures come in one size.
        count: how many at most.

    Returns:
        uint8 RGB (N, 3, H, W), and the class name of each.
    """
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import DATASETS

    cfg = read_config(config)
    init_default_scope("mmpretrain")
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    items = [dataset[int(index)] for index in chosen]
    pictures = torch.stack([item["inputs"] for item in items])
    classes = dataset.metainfo["classes"]
    labels = [classes[int(item["data_samples"].gt_label)] for item in items]
    return (pictures.flip(1) if cfg.data_preprocessor.get("to_rgb") else pictures), labels


def draw_mix_sheet(
    pictures: Tensor,
    labels: Sequence[str],
    path: str | Path,
    *,
    rows: int = 6,
    seed: int = 0,
    scheme: Scheme | None = None,
    detector: SaliencyDetector | None = None,
    alpha: float = 1.0,
) -> None:
    """Draw how pictures are mixed: source, its saliency map with the box, target, result.

    Args:
        pictures: uint8 RGB (N, 3, H, W), at least two.
        labels: a name for each.
        path: the PNG to write.
        rows: mixes to show; those of a picture with itself are left out.
        seed: of partners and λ.
        scheme: where to cut and to paste. Defaults to the paper's.
        detector: default fine-grained saliency.
        alpha: λ ~ Beta(alpha, alpha).

    Raises:
        ValueError: fewer than two pictures, or not as many labels.
    """
    from matplotlib.figure import Figure

    if len(pictures) < 2 or len(labels) != len(pictures):
        raise ValueError(f"{len(pictures)} pictures and {len(labels)} labels; wanted two or more, a label each")
    scheme, detector = scheme or Scheme(), detector or FineGrainedSaliency()
    draw = draw_mix(len(pictures), alpha, torch.Generator().manual_seed(seed))
    plan = plan_mix(pictures, draw, scheme, detector)
    mixed = paste(pictures, plan.partner, plan.source_boxes, plan.target_boxes, plan.same_place)
    maps = detector(pictures)
    shown = [index for index in range(len(pictures)) if plan.partner[index] != index][:rows]
    figure = Figure(figsize=(8, 2.1 * len(shown)), layout="constrained")
    for axes, index in zip(figure.subplots(len(shown), 4, squeeze=False), shown):
        partner = int(plan.partner[index])
        lam = float(plan.lam[index])
        panels = [
            (_for_drawing(pictures[partner]), f"source: {labels[partner]}", plan.source_boxes, SOURCE),
            (maps[partner].numpy(), "its saliency", plan.source_boxes, SOURCE),
            (_for_drawing(pictures[index]), f"target: {labels[index]}", plan.target_boxes, TARGET),
            (_for_drawing(mixed[index]), f"{lam:.2f} {labels[index]} + {1 - lam:.2f} {labels[partner]}", None, ""),
        ]
        for panel, (picture, title, boxes, colour) in zip(axes, panels):
            panel.imshow(picture, cmap="magma" if picture.ndim == 2 else None, interpolation="nearest")
            panel.set_title(title, fontsize=8)
            panel.axis("off")
            if boxes is not None:
                _draw_box(panel, boxes[index], colour)
        points, found = detector.extreme(pictures[partner : partner + 1], scheme.source != "non_salient", None)
        if scheme.source != "random" and bool(found):
            y, x = points[0].tolist()
            axes[1].plot(x, y, "+", color="lime", markersize=12, markeredgewidth=2)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _for_drawing(picture: Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).numpy()


def _draw_box(axes: object, box: Tensor, colour: str) -> None:
    from matplotlib.patches import Rectangle

    y1, x1, y2, x2 = box.tolist()
    # Pixel centres lie on whole numbers, so a pixel begins half a unit before.
    rectangle = Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.5)
    axes.add_patch(rectangle)  # type: ignore[attr-defined]
