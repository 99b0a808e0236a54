"""RecursiveMix: the last mixed batch, resized, pasted into the next."""

from __future__ import annotations

from numbers import Real
from typing import Tuple

import torch
from torch import Tensor

from ..utils.tensors import check_images
from .functional import as_scores
from .patch import weigh
from .plan import seeded_random

Box = Tuple[int, int, int, int]
"""``(y1, x1, y2, x2)``, half-open."""


def recursive_mix(
    images: Tensor,
    targets: Tensor,
    previous: tuple[Tensor, Tensor] | None,
    *,
    num_classes: int | None = None,
    alpha: float = 0.5,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste the previous mixed batch, resized, into this one and mix the labels by area; without the consistency loss.

    ``mixed, scores = previous = recursive_mix(images, labels, previous, num_classes=10)``, with None first. One box
    serves the batch: its area is the share ~ U(0, alpha) of the image, its centre uniform, and it is cut off at the
    borders. Image i of the previous batch is resized to the box (nearest pixel) and pasted into image i. If the
    previous batch is smaller, the images beyond it are not mixed.

    Source: Yang et al., RecursiveMix, NeurIPS 2022 (arXiv 2203.06844), and its released code. For the consistency loss
    see :class:`smix_mm.batch_augments.recursive_mix.RecursiveMixClassifier`.

    Args:
        images: floating-point or uint8 (N, C, H, W), H and W at least 3. Their values are not checked: NaN would be
            pasted from batch to batch.
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        previous: what this function returned for the previous batch; None for the first.
        num_classes: K, for class numbers.
        alpha: the largest share of the area, above 0 and at most 1. Defaults to 0.5.
        generator: a CPU generator. Defaults to torch's global one.

    Returns:
        ``(mixed_images, mixed_targets)``, both new, as for :func:`smix_mm.saliency_mix`.

    Raises:
        TypeError, ValueError: an argument is not as above, or ``previous`` has other channels or classes.
    """
    check_images(images, "N, C, H, W")
    scores = as_scores(targets, len(images), num_classes)
    if previous is not None:
        _check_previous(previous)
    height, width = images.shape[2:]
    box = draw_region(height, width, check_share(alpha), generator)
    return (images.clone(), scores.clone()) if previous is None else paste_previous(images, scores, *previous, box)


def _check_previous(previous: object) -> None:
    pair = previous if isinstance(previous, (tuple, list)) and len(previous) == 2 else (None, None)
    shapes = [tuple(one.shape) if isinstance(one, Tensor) else () for one in pair]
    if [len(shape) for shape in shapes] != [4, 2] or shapes[0][0] != shapes[1][0]:
        got = f"shapes {shapes[0]} and {shapes[1]}" if all(shapes) else type(previous).__name__
        raise ValueError(
            "previous should be the images (N, C, H, W) and scores (N, K) that recursive_mix returned, or None, got "
            f"{got}"
        )


def draw_region(height: int, width: int, alpha: float, generator: torch.Generator | None) -> Box:
    """The box of a batch, inside the image; its area is at most the share ``alpha``."""
    random = seeded_random(generator)
    ratio = random.uniform(0, alpha) ** 0.5
    ends = []
    for side in (height, width):
        centre, half = int(random.integers(side)), int(side * ratio) // 2
        ends.append((max(centre - half, 0), min(centre + half, side)))
    (y1, y2), (x1, x2) = ends
    return y1, x1, y2, x2


def paste_previous(
    images: Tensor, scores: Tensor, old_images: Tensor, old_scores: Tensor, box: Box
) -> tuple[Tensor, Tensor]:
    """:func:`recursive_mix` with a given box; ``scores`` are floating-point (N, K)."""
    if old_images.shape[1] != images.shape[1] or old_scores.shape[1] != scores.shape[1]:
        raise ValueError(
            f"the previous batch should have {images.shape[1]} channels and {scores.shape[1]} classes as this one, got "
            f"{old_images.shape[1]} and {old_scores.shape[1]}"
        )
    y1, x1, y2, x2 = box
    height, width = images.shape[2:]
    mixed, mixed_scores, count = images.clone(), scores.clone(), min(len(images), len(old_images))
    area = (y2 - y1) * (x2 - x1)
    if area == 0:
        return mixed, mixed_scores
    rows = torch.arange(y2 - y1, device=images.device) * old_images.shape[2] // (y2 - y1)
    columns = torch.arange(x2 - x1, device=images.device) * old_images.shape[3] // (x2 - x1)
    old = old_images[:count].to(images.device)[:, :, rows[:, None], columns]
    mixed[:count, :, y1:y2, x1:x2] = old.to(images.dtype)
    own = torch.full((count,), 1 - area / (height * width), dtype=torch.float64)
    mixed_scores[:count] = weigh(scores[:count], old_scores[:count].to(scores.device), own, 1 - own)
    return mixed, mixed_scores


def check_share(alpha: object) -> float:
    """``alpha`` as a float; a ValueError unless it is above 0 and at most 1."""
    share = float(alpha) if isinstance(alpha, Real) and not isinstance(alpha, bool) else 0.0
    if not 0 < share <= 1:
        raise ValueError(f"alpha should be a number above 0 and at most 1, got {alpha!r}")
    return share
