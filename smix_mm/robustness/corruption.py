"""Common corruptions of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmpretrain.registry import TRANSFORMS

from ..utils.choices import CORRUPTIONS, check_option
from ..utils.random_state import seeded_numpy


@TRANSFORMS.register_module()
class CommonCorruption:
    """One of the 15 corruptions of ImageNet-C (Hendrycks & Dietterich 2019), computed by ``imagecorruptions``.

    The noise is seeded by the image's ``sample_idx``, except that of ``impulse_noise`` and ``glass_blur``,
    whose generators ``imagecorruptions`` does not let a caller seed.

    Args:
        name: One of :data:`~smix_mm.utils.choices.CORRUPTIONS`.
        severity: 1 to 5.
        channel_order: Of the image, ``'rgb'`` or ``'bgr'``; images read from files are BGR. Defaults to ``'bgr'``.

    Raises:
        ValueError: An argument is none of these.
    """

    def __init__(self, name: str, severity: int, channel_order: str = "bgr") -> None:
        check_option("corruption", name, CORRUPTIONS)
        check_option("channel_order", channel_order, ("rgb", "bgr"))
        if severity not in range(1, 6):
            raise ValueError(f"severity should be in 1 to 5, got {severity}")
        self.name, self.severity, self.channel_order = name, severity, channel_order

    def __call__(self, results: dict) -> dict:
        """Corrupt ``results['img']``, a uint8 array (H, W, 3) of at least 32x32 pixels."""
        from imagecorruptions import corrupt

        image = results["img"]
        rgb = image if self.channel_order == "rgb" else image[..., ::-1]
        with seeded_numpy(results.get("sample_idx", 0)):
            corrupted = corrupt(np.ascontiguousarray(rgb), corruption_name=self.name, severity=self.severity)
        results["img"] = corrupted if self.channel_order == "rgb" else np.ascontiguousarray(corrupted[..., ::-1])
        return results


def corrupt_in_memory(dataset: Any, corruption: CommonCorruption) -> None:
    """Corrupt the images of an :class:`~smix_mm.datasets.in_memory.dataset.InMemoryDataset` in place.

    Images on a GPU are copied one by one, which was never run on a GPU.
    """
    for index, image in enumerate(dataset.images.permute(0, 2, 3, 1).cpu().numpy()):
        corrupted = corruption(dict(img=image, sample_idx=index))["img"]
        dataset.images[index] = torch.from_numpy(corrupted).permute(2, 0, 1)
