"""Where to cut and where to paste: the schemes of the paper, section 3.4, and the control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..saliency import SaliencyDetector
from ..saliency.normalized import NormalizedImages
from ..utils.choices import check_option

SOURCES = ("salient", "non_salient", "random")
TARGETS = ("corresponding", "salient", "non_salient")


@dataclass(frozen=True)
class Scheme:
    """Which pixel the patch is cut around, and which it is pasted around.

    Attributes:
        source: the ``'salient'`` or the ``'non_salient'`` pixel of the partner, or a
            ``'random'`` one (CutMix's centre: the control).
        target: ``'corresponding'``, the place that the patch was cut from, or the
            ``'salient'`` or ``'non_salient'`` pixel of the image that is pasted on.
        ties: which of several equal extremes: the ``'first'`` in row order, or a ``'random'`` one.

    Raises:
        ValueError: a value is none of these.
    """

    source: str = "salient"
    target: str = "corresponding"
    ties: str = "first"

    def __post_init__(self) -> None:
        check_option("source", self.source, SOURCES)
        check_option("target", self.target, TARGETS)
        check_option("ties", self.ties, ("first", "random"))


def choose_points(
    images: Tensor | NormalizedImages, where: str, ties: str, detector: SaliencyDetector, pick: Tensor, centre: Tensor
) -> Tensor:
    """The place in each image that ``where`` names.

    An image without any contrast has no salient pixel: its place is the random one.

    Args:
        images: uint8 RGB (N, 3, H, W), or normalized where the detector reads that.
        where: ``'salient'``, ``'non_salient'`` or ``'random'``.
        ties: see :class:`Scheme`.
        pick: float64 (N,) in [0, 1): which of equal extremes is taken with ``ties='random'``.
        centre: int64 (N, 2), (y, x) of a random place, on the images' device.

    Returns:
        int64 (N, 2), (y, x), on the images' device.
    """
    if where == "random":
        return centre
    points, found = detector.extreme(images, where == "salient", pick if ties == "random" else None)
    return torch.where(found[:, None], points, centre)
