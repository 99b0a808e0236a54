"""From a normalised batch back to the images that a detector looks at."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor

from ..utils.choices import check_option
from .normalized import NormalizedImages

# On a GPU only these first batches are checked: looking at a value there waits for the GPU.
CHECKED_GPU_BATCHES = 10


class Unnormalize:
    """``round((x * std + mean) * 255 / unit)``, clipped to 0..255, in RGB.

    Args:
        mean: what was taken off each channel, three numbers.
        std: what each channel was divided by, three positive numbers.
        channel_order: ``'rgb'`` or ``'bgr'``, of the normalised tensor.
        unit: the largest pixel value before normalisation: 255 as OpenMMLab has it, 1 as torchvision.
        advice: how the error ends for values that are no image: what to change, and where.

    Raises:
        ValueError: an argument is not as above.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        channel_order: str = "rgb",
        unit: int = 255,
        advice: str = "give the mean and std that the batch was normalised with",
    ) -> None:
        check_option("channel_order", channel_order, ("rgb", "bgr"))
        self.mean = _three_numbers("mean", mean)
        self.std = _three_numbers("std", std)
        if bool((self.std <= 0).any()):
            raise ValueError(f"std is {list(std)}; wanted three positive numbers")
        self.channel_order = channel_order
        self.unit = unit
        self.advice = advice
        self.gpu_batches_checked = 0

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 RGB (N, 3, H, W) from normalised floats of the same shape; a new tensor.

        Raises:
            ValueError: NaN or infinity, or values outside 0 to ``unit`` by more than 1/255 of it in
                float32 and float64, 4/255 in half precisions. (On a GPU only the first batches
                are looked at.)
        """
        wrapped = NormalizedImages(images, self.mean, self.std, self.unit, self.channel_order == "bgr")
        values = wrapped.values()
        self._check(values, images.dtype)
        return wrapped.to_uint8(values)

    def wrap(self, images: Tensor) -> NormalizedImages:
        """The same images for a detector that reads normalized ones; raises as calling the object does."""
        wrapped = NormalizedImages(images, self.mean, self.std, self.unit, self.channel_order == "bgr")
        if images.device.type == "cpu" or not self.checked:
            self._check(wrapped.values(), images.dtype)
        return wrapped

    @property
    def checked(self) -> bool:
        """Whether so many batches on a GPU were looked at that the next one is not."""
        return self.gpu_batches_checked >= CHECKED_GPU_BATCHES

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
        if not bool(values.isfinite().all()):
            raise ValueError("the batch holds NaN or infinity; wanted finite pixels: look at the data and its pipeline")
        digits = 1 if self.unit == 255 else 3
        raise ValueError(
            f"un-normalised with mean={_shown(self.mean)} and std={_shown(self.std)} the batch has values from "
            f"{least:.{digits}f} to {most:.{digits}f}; wanted pixels from 0 to {self.unit}: {self.advice}, "
            "or look at the data if they are the same already"
        )


def _shown(numbers: Tensor) -> str:
    return f"[{', '.join(f'{number:g}' for number in numbers.tolist())}]"


def _three_numbers(name: str, values: Sequence[float]) -> Tensor:
    try:
        numbers = torch.tensor([float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {values!r}; wanted three numbers, one a channel") from error
    if numbers.shape != (3,) or not bool(numbers.isfinite().all()):
        raise ValueError(f"{name} is {values!r}; wanted three numbers, one a channel")
    return numbers
