"""Images that come normalized, and the uint8 images that they were made from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NormalizedImages:
    """A normalized batch that a detector can read without a uint8 copy of it.

    Attributes:
        images: floats (N, 3, H, W), ``(byte * unit / 255 - mean) / std``.
        mean, std: float32 (3,), on the CPU, in the order of the channels of ``images``.
        unit: the largest value of a pixel before normalization, 255 or 1.
        bgr: whether the channels are blue, green, red.
    """

    images: Tensor
    mean: Tensor
    std: Tensor
    unit: int = 255
    bgr: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> NormalizedImages:
        return self.with_images(self.images[index])

    def roll(self, shifts: int, dims: int) -> NormalizedImages:
        return self.with_images(self.images.roll(shifts, dims))

    def with_images(self, images: Tensor) -> NormalizedImages:
        """Other images that were normalized in the same way."""
        return NormalizedImages(images, self.mean, self.std, self.unit, self.bgr)

    @property
    def shape(self) -> torch.Size:
        return self.images.shape

    @property
    def device(self) -> torch.device:
        return self.images.device

    def values(self) -> Tensor:
        """float32 (N, 3, H, W): pixels from 0 to ``unit``, as exactly as ``images`` holds them."""
        mean = self.mean.to(self.device, non_blocking=True).view(1, 3, 1, 1)
        std = self.std.to(self.device, non_blocking=True).view(1, 3, 1, 1)
        return self.images.to(torch.float32) * std + mean

    def to_uint8(self, values: Tensor | None = None) -> Tensor:
        """uint8 RGB (N, 3, H, W): rounded, halves to the even number, and clipped to 0..255; a new tensor.

        Args:
            values: :meth:`values`, where they are at hand; overwritten.
        """
        values = self.values() if values is None else values
        if self.unit != 255:
            values *= 255 / self.unit
        images = values.round_().clamp_(0, 255).to(torch.uint8)
        return images.flip(1) if self.bgr else images
