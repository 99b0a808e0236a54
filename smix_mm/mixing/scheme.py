"""Where to cut and where to paste: the schemes of the paper, section 3.4, and the control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..saliency import SaliencyDetector

SOURCES = ("salient", "non_salient", "random")
TARGETS = ("corresponding", "salient", "non_salient")


@dataclass(frozen=True)
class Scheme:
    """Which pixel the patch is cut around, and which it is pasted around.

    Attributes:
        source: the ``'salient'`` or the ``'non_salient'`` pixel of the partner, or a
            ``'random'`` one (CutMix's centre: the control).
        target: ``'corresponding'``, the place that the patch was cut from, or the
            ``'salient'`` or ``'non_salient'`` pixel of the picture that is pasted on.
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


def check_option(name: str, value: object, wanted: tuple[str, ...]) -> None:
    """Raise a ValueError unless ``value`` is one of the ``wanted``."""
    if value not in wanted:
        raise ValueError(f"{name} is {value!r}; wanted one of {', '.join(map(repr, wanted))}")


def choose_points(pictures: Tensor, where: str, ties: str, detector: SaliencyDetector, uniform: Tensor) -> Tensor:
    """The place in each picture that ``where`` names.

    A picture without any contrast has no salient pixel: its place is the random one.

    Args:
        pictures: uint8 RGB (N, 3, H, W).
        where: ``'salient'``, ``'non_salient'`` or ``'random'``.
        ties: see :class:`Scheme`.
        uniform: float64 (N, 3) in [0, 1) on the CPU: tie-breaker, centre's y, centre's x.

    Returns:
        int64 (N, 2), (y, x), on the pictures' device.
    """
    sides = torch.tensor(pictures.shape[2:], dtype=torch.float64)
    # The product can round up to the side itself.
    random = torch.minimum((uniform[:, 1:] * sides).long(), (sides - 1).long())
    random = random.to(pictures.device, non_blocking=True)
    if where == "random":
        return random
    pick = uniform[:, 0] if ties == "random" else None
    points, found = detector.extreme(pictures, where == "salient", pick)
    return torch.where(found[:, None], points, random)
