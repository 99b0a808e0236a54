"""Saliency maps that were computed before the mixing, such as those of images before a crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import SaliencyDetector, map_extreme


@dataclass(frozen=True)
class GivenMaps:
    """Maps that take the place of the images in a mix.

    Attributes:
        maps: float32 (N, H, W), in [0, 1] inside the image, negative in the padding of a crop.
    """

    maps: Tensor

    @property
    def shape(self) -> torch.Size:
        """The shape of the images, (N, 3, H, W)."""
        return torch.Size((len(self.maps), 3, *self.maps.shape[1:]))

    @property
    def device(self) -> torch.device:
        return self.maps.device

    def __getitem__(self, index: Tensor | slice) -> GivenMaps:
        return GivenMaps(self.maps[index])

    def roll(self, shifts: int, dims: int) -> GivenMaps:
        return GivenMaps(self.maps.roll(shifts, dims))


class GivenSaliency(SaliencyDetector):
    """The detector for :class:`GivenMaps`: a pixel of the padding is neither the most nor the least salient one."""

    def saliency(self, images: Any) -> Tensor:
        return images.maps

    def extreme(self, images: Any, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
        highest = images.maps
        lowest = highest.masked_fill(highest < 0, 2)
        points, _ = map_extreme(highest if salient else lowest, salient, pick)
        return points, highest.amax((1, 2)) > lowest.amin((1, 2))
