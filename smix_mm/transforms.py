"""Transforms of single images, registered with mmpretrain: PCA lighting without integer overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpretrain.registry import TRANSFORMS

from .utils.choices import check_option

__all__ = ["PCALighting"]

# Principal components of ImageNet's pixels in RGB, on the scale of 0 to 1 (Krizhevsky et al. 2012,
# section 4.1), with the values of the ImageNet recipes for Torch.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@TRANSFORMS.register_module()
class PCALighting(BaseTransform):
    """Change an image's lighting along the principal components of ImageNet's pixels.

    The same colour is added to every pixel: ``255 · Σ αᵢ · λᵢ · pᵢ``, with α ~ N(0, ``alphastd``),
    λ the eigenvalues and p the eigenvectors. It is added in float, then rounded and clipped to
    0..255. (mmpretrain's ``Lighting`` casts to uint8 without clipping, so that 257 becomes 1: bright
    spots get black pixels, which are the most salient ones for a detector.)

    Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional
    Neural Networks (NeurIPS 2012), section 4.1.

    Required and modified key: ``img``, uint8 (H, W, 3).

    Args:
        alphastd: standard deviation of α, at least 0. Defaults to 0.1.
        channel_order: ``'bgr'`` or ``'rgb'``, of the image at this point of the pipeline
            (OpenMMLab reads files as BGR). Defaults to ``'bgr'``.

    Raises:
        ValueError: an argument is not as above.
        TypeError: ``img`` is not uint8 (H, W, 3).
    """

    def __init__(self, alphastd: float = 0.1, channel_order: str = "bgr") -> None:
        if not alphastd >= 0:
            raise ValueError(f"alphastd should be a number of at least 0, got {alphastd!r}")
        check_option("channel_order", channel_order, ("bgr", "rgb"))
        self.alphastd = alphastd
        self.channel_order = channel_order

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the lighting of ``results['img']``."""
        image = results["img"]
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
            given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(f"img should be a uint8 array (H, W, 3), got {given}")
        colour = 255 * (EIGENVECTORS @ (self._draw() * EIGENVALUES))
        if self.channel_order == "bgr":
            colour = colour[::-1]
        lit = image.astype(np.float32) + colour.astype(np.float32)
        results["img"] = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
        return results

    @cache_randomness
    def _draw(self) -> np.ndarray:
        return np.random.normal(0, self.alphastd, 3)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alphastd={self.alphastd}, channel_order={self.channel_order!r})"
