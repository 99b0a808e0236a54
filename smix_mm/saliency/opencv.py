"""OpenCV's saliency detectors: the reference for this package's, and what the paper's released code uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..utils.choices import check_option
from ..utils.errors import PackageError
from .base import SaliencyDetector, register

METHODS = {
    "fine_grained": "StaticSaliencyFineGrained_create",
    "spectral_residual": "StaticSaliencySpectralResidual_create",
}


def create_opencv_detector(method: str = "fine_grained") -> Any:
    """OpenCV's detector object.

    Args:
        method: ``'fine_grained'`` or ``'spectral_residual'``. Defaults to ``'fine_grained'``.

    Raises:
        ValueError: ``method`` is not one of these.
        PackageError: OpenCV, or its module ``saliency``, is not installed.
    """
    check_option("method", method, tuple(METHODS))
    try:
        import cv2

        return getattr(cv2.saliency, METHODS[method])()
    except (ImportError, AttributeError) as error:
        raise PackageError(
            "this detector needs cv2.saliency, which is only in OpenCV's contrib build; uninstall every "
            "opencv-* package, then install opencv-contrib-python-headless (`python -m smix_mm.doctor` checks)"
        ) from error


@register
class OpenCVSaliency(SaliencyDetector):
    """OpenCV's detectors, one image after another on the CPU.

    Args:
        method: ``'fine_grained'`` or ``'spectral_residual'``. Defaults to ``'fine_grained'``.

    Raises:
        ValueError: ``method`` is not one of these.
        PackageError: OpenCV, or its module ``saliency``, is not installed.
    """

    def __init__(self, method: str = "fine_grained") -> None:
        self.detector = create_opencv_detector(method)

    def saliency(self, images: Tensor) -> Tensor:
        return opencv_maps(self.detector, images.flip(1)).to(images.device)


def opencv_maps(detector: Any, images: Tensor) -> Tensor:
    """The maps of OpenCV's detector object for images (N, 3, H, W) as they are: float32 (N, H, W), on the CPU."""
    maps = torch.zeros((len(images), *images.shape[2:]))
    for index, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
        found, saliency_map = detector.computeSaliency(np.ascontiguousarray(image))
        if not found:
            raise RuntimeError(f"OpenCV found no saliency in an image of shape {image.shape}")
        # Some releases of OpenCV return uint8 in 0..255, others float32.
        scale = 255 if saliency_map.dtype == np.uint8 else 1
        maps[index] = torch.from_numpy(saliency_map.astype(np.float32) / np.float32(scale))
    return maps
