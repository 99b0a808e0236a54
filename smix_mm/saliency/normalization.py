"""Normalized images, and the uint8 images that they were made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Sequence

import torch
from torch import Tensor

from ..utils.choices import check_option

if TYPE_CHECKING:
    from .base import SaliencyDetector

# On a GPU only this many batches are checked: reading a value there waits for the GPU.
CHECKED_GPU_BATCHES = 10


@dataclass(frozen=True)
class NormalizedImages:
    """A normalized batch, which some detectors read without a uint8 copy of it.

    Attributes:
        images: floating-point (N, 3, H, W), ``(byte * unit / 255 - mean) / std``.
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
        return replace(self, images=self.images[index])

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
        # Filled there: a CUDA graph cannot hold a copy from pageable memory.
        filled = [torch.full((), number, dtype=torch.float32, device=self.device) for number in numbers.tolist()]
        return torch.stack(filled).view(1, 3, 1, 1)

    def to_uint8(self, values: Tensor | None = None) -> Tensor:
        """uint8 RGB (N, 3, H, W): rounded, halves to the even number, and clipped to 0..255; a new tensor.

        Args:
            values: :meth:`values`, if they were computed before; overwritten.
        """
        values = self.values() if values is None else values
        if self.unit != 255:
            values *= 255 / self.unit
        images = values.round_().clamp_(0, 255).to(torch.uint8)
        return images.flip(1) if self.bgr else images


class Unnormalize:
    """uint8 RGB images from normalized ones: ``round((x * std + mean) * 255 / unit)``, clipped to 0..255.

    Args:
        mean: what was subtracted from each channel, three numbers.
        std: what each channel was divided by, three positive numbers.
        channel_order: ``'rgb'`` or ``'bgr'``, of the normalized tensor. Defaults to ``'rgb'``.
        unit: the largest pixel value before normalization: 255 in OpenMMLab, 1 in torchvision. Defaults to 255.
        advice: the end of the error for values that are not pixels: what to change, and where.

    Raises:
        ValueError: an argument is not as above.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        channel_order: str = "rgb",
        unit: int = 255,
        advice: str = "give the mean and std that the batch was normalized with",
    ) -> None:
        check_option("channel_order", channel_order, ("rgb", "bgr"))
        self.mean, self.std = check_mean_std(mean, std)
        self.channel_order = channel_order
        self.unit = unit
        self.advice = advice
        self.gpu_batches_checked = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Compute uint8 RGB images.

        Args:
            images: normalized, floating-point (N, 3, H, W).

        Returns:
            uint8 (N, 3, H, W), a new tensor.

        Raises:
            ValueError: NaN or infinity, or values outside 0 to ``unit`` by more than ``unit / 255`` in
                float32 and float64, ``4 * unit / 255`` in half precisions. (On a GPU only the first
                batches are checked.)
        """
        normalized = self._wrap(images)
        values = normalized.values()
        self._check(values, images.dtype)
        return normalized.to_uint8(values)

    def for_detector(self, images: Tensor, detector: SaliencyDetector) -> Tensor | NormalizedImages:
        """What ``detector`` reads on this device: ``NormalizedImages`` without a copy, or uint8 images.

        Args:
            images: as for calling the object, as are the errors.
            detector: the saliency detector.
        """
        if not detector.reads_normalized(images.device):
            return self(images)
        normalized = self._wrap(images)
        if images.device.type == "cpu" or not self.checked:
            self._check(normalized.values(), images.dtype)
        return normalized

    @property
    def checked(self) -> bool:
        """Whether so many batches on a GPU were checked that no more are."""
        return self.gpu_batches_checked >= CHECKED_GPU_BATCHES

    def _wrap(self, images: Tensor) -> NormalizedImages:
        return NormalizedImages(images, self.mean, self.std, self.unit, self.channel_order == "bgr")

    def _check(self, values: Tensor, given: torch.dtype) -> None:
        if values.device.type != "cpu":
            if self.checked:
                return
            self.gpu_batches_checked += 1
        if values.numel() == 0:
            return
        least, most = (value.item() for value in values.aminmax())
        slack = (1 if given in (torch.float32, torch.float64) else 4) * self.unit / 255
        # Written so that NaN fails it.
        if -slack <= least and most <= self.unit + slack:
            return
        check_finite(values)
        digits = 1 if self.unit == 255 else 3
        mean, std = (", ".join(f"{number:g}" for number in numbers.tolist()) for numbers in (self.mean, self.std))
        raise ValueError(
            f"the batch unnormalized with mean=[{mean}] and std=[{std}] should have pixels from 0 to {self.unit}, "
            f"got values from {least:.{digits}f} to {most:.{digits}f}; {self.advice}, "
            "or check the data if they are the same already"
        )


def check_finite(images: Tensor) -> None:
    """Raise a ValueError if ``images`` contains NaN or infinity; waits for a GPU."""
    if not bool(images.isfinite().all()):
        raise ValueError("the batch should be finite, got NaN or infinity; check the data and its pipeline")


def check_mean_std(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of three channels as float32 (3,), on the CPU.

    Raises:
        ValueError: not three finite numbers each, or an ``std`` that is not positive.
    """
    found = []
    for name, values in (("mean", mean), ("std", std)):
        try:
            numbers = torch.tensor([float(value) for value in values], dtype=torch.float32)
        except (TypeError, ValueError):
            numbers = torch.zeros(0)
        if numbers.shape != (3,) or not bool(numbers.isfinite().all()):
            raise ValueError(f"{name} should be three numbers, one a channel, got {values!r}")
        found.append(numbers)
    if bool((found[1] <= 0).any()):
        raise ValueError(f"std should be three positive numbers, got {std!r}")
    return found[0], found[1]
