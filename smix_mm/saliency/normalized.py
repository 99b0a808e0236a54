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
        return self.images.to(torch.float32) * self._on_device(self.std) + self._on_device(self.mean)

    def _on_device(self, numbers: Tensor) -> Tensor:
        if self.device.type == "cpu":
            return numbers.view(1, 3, 1, 1)
        # Filled there: a CUDA graph cannot hold a copy from ordinary memory.
        filled = [torch.full((), number, dtype=torch.float32, device=self.device) for number in numbers.tolist()]
        return torch.stack(filled).view(1, 3, 1, 1)

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
