"""How much of each image a batch augmentation replaces, counted from outside, so that any can be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Tuple

import torch
from torch import Tensor

Augment = Callable[[Tensor, Tensor], Tuple[Tensor, Tensor]]

# What float32 resolves is 5000 times coarser even for the last of 100 images, so no detector sees the mark.
_MARK = 1e-12
_MOST_IMAGES = 10_000


def count_replaced(augment: Augment, images: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a batch augmentation once, and count.

    The pixels of each image are marked with a factor of its own in float64, which rounding to
    float32 removes; so a replaced pixel is known even where both images have the same colour.

    Args:
        augment: takes images and scores, and gives both back, as mmpretrain's batch augmentations do;
            it may work in place and must not round the pixels that it moves.
        images: float32 (N, C, H, W), normalised; no pixel is 0 in all channels. Not changed.

    Returns:
        replaced: int64 (N,), pixels of each image that are no longer its own; none for an image
        that is its own partner.
        weight: float64 (N,), how much of each label is no longer its own, 0 to 1.

    Raises:
        TypeError, ValueError: ``images`` are not as above.
    """
    if images.dtype != torch.float32:
        raise TypeError(f"images are {images.dtype}; wanted float32, which leaves room for the marks")
    if len(images) > _MOST_IMAGES or bool((images == 0).all(1).any()):
        raise ValueError(
            f"images are {len(images)}, or hold pixels that are 0 in all channels; wanted at most {_MOST_IMAGES}, "
            "normalised so that no pixel is 0"
        )
    number = torch.arange(1, len(images) + 1, dtype=torch.float64, device=images.device)
    marked = images.double() * (1 + _MARK * number[:, None, None, None])
    scores = torch.eye(len(images), dtype=torch.float64, device=images.device)
    mixed, mixed_scores = augment(marked.clone(), scores.clone())
    return (mixed != marked).any(1).flatten(1).sum(1), 1 - mixed_scores.diagonal()


@dataclass
class AreaCount:
    """Shares of replaced pixels over many batches, summed up in whole numbers.

    Attributes:
        pixels: of an image.
        batches, images: how many were counted.
    """

    pixels: int
    batches: int = 0
    images: int = 0
    _sum: int = 0
    _squares: int = 0
    _batch_sum: float = 0.0
    _batch_squares: float = 0.0
    _weight: float = 0.0
    _weight_squares: float = 0.0

    def add(self, replaced: Tensor, weight: Tensor) -> None:
        """Count a batch, given what :func:`count_replaced` found."""
        self.batches += 1
        self.images += len(replaced)
        total = int(replaced.sum())
        self._sum += total
        self._squares += int((replaced**2).sum())
        self._batch_sum += total / len(replaced)
        self._batch_squares += (total / len(replaced)) ** 2
        self._weight += float(weight.sum())
        self._weight_squares += float((weight**2).sum())

    def summary(self) -> dict[str, float]:
        """What was found, as shares of 0 to 1.

        Returns:
            ``area`` and ``area_sd``, mean and standard deviation over images of the replaced share;
            ``area_error``, the standard error of that mean, with a batch as the unit, because the
            images of a batch may share one box (NaN for one batch); ``weight`` and ``weight_sd``, of
            the label's share; ``batches``; ``images``.
        """
        of_batches = _deviation(self._batch_sum, self._batch_squares, self.batches)
        return dict(
            batches=self.batches,
            images=self.images,
            area=self._sum / self.images / self.pixels,
            area_sd=_deviation(self._sum, self._squares, self.images) / self.pixels,
            area_error=of_batches / math.sqrt(self.batches - 1) / self.pixels if self.batches > 1 else math.nan,
            weight=self._weight / self.images,
            weight_sd=_deviation(self._weight, self._weight_squares, self.images),
        )


def _deviation(total: float, squares: float, number: int) -> float:
    """Standard deviation of all of a number of values, from their sum and that of their squares."""
    return math.sqrt(max(squares / number - (total / number) ** 2, 0))
