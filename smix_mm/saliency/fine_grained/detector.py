"""The fine-grained detector, which chooses the kernel that computes the map."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ...utils.choices import check_option
from ..base import SaliencyDetector, register
from ..normalization import NormalizedImages
from .backends import cpu_kernel, gpu_kernel, is_compiling, operators
from .definition import fine_grained_saliency

BACKENDS = ("auto", "torch", "numba", "triton")

HAS_TRITON = find_spec("triton") is not None


@register
class FineGrainedSaliency(SaliencyDetector):
    """Fine-grained saliency: the difference of a pixel from the means of six windows around it.

    Equal to OpenCV's ``StaticSaliencyFineGrained`` on the same image: ``round(255 * map)``
    is identical on every pixel. On a GPU the Triton kernel is compared with the definition before its first
    use, and not used if it differs; so far it has only been run in Triton's interpreter, not measured on a GPU.

    The grey image is blurred twice. For each of six windows, clipped at the borders, the truncated
    difference of the pixel and the mean of the window's other pixels is added to a bright-on-dark or to a
    dark-on-bright sum. Each sum is scaled to a maximum of 255, and the two are added as bytes. As in
    OpenCV, this last addition wraps around at 256, a sum that is zero everywhere stays zero, and a flat
    image gives zeros.

    Args:
        backend: what computes the map; the result is the same. ``'torch'``: plain torch, on any
            device. ``'numba'``: a compiled kernel for CPU tensors. ``'triton'``: a compiled kernel
            for GPU tensors, also under ``torch.compile`` and, after a first call, in CUDA graphs.
            ``'auto'``: the kernel for the device if it runs there, else torch; for CPU tensors under
            ``torch.compile``, torch. Defaults to ``'auto'``.

    Raises:
        ValueError: ``backend`` is not one of these, or does not support the images' device.
        ImportError: numba, or Triton, is not installed or does not run here.

    Source: S. Montabone and A. Soto, *Human detection using a mobile platform and novel
    features derived from a visual saliency mechanism*, Image and Vision Computing 28, 2010.
    """

    def __init__(self, backend: str = "auto") -> None:
        check_option("backend", backend, BACKENDS)
        self.backend = backend

    def saliency(self, images: Tensor) -> Tensor:
        kernel = self._kernel(images.device)
        return kernel.saliency(images) if kernel else fine_grained_saliency(images)

    def extreme(self, images: Tensor | NormalizedImages, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
        kernel = self._kernel(images.device)
        if kernel is None:
            return super().extreme(images, salient, pick)
        if not isinstance(images, Tensor) and not self.reads_normalized(images.device):
            images = images.to_uint8()
        return kernel.extreme(images, salient, pick)

    def reads_normalized(self, device: torch.device) -> bool:
        kernel = self._kernel(device)
        return kernel is not None and kernel not in (operators, cpu_kernel())

    def _kernel(self, device: torch.device) -> Any:
        """What computes on ``device``, see :mod:`.backends`; None for the definition."""
        if self.backend == "numba":
            if device.type != "cpu":
                raise ValueError(f"images should be on a CPU for backend='numba', got {device}; or use 'auto'")
            if cpu_kernel() is None:
                raise ImportError("backend='numba' needs numba: `pip install numba`, or use 'auto'")
            return cpu_kernel()
        if self.backend == "triton":
            if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
                raise ValueError(f"images should be on a GPU for backend='triton', got {device}; or use 'auto'")
            if not HAS_TRITON or not (is_compiling() or gpu_kernel(device)):
                raise ImportError(f"backend='triton' needs a Triton that runs on {device}: install it, or use 'auto'")
        if self.backend == "triton" or (self.backend == "auto" and device.type == "cuda"):
            # Calling an operator takes longer than the kernel itself, so it is used only where it is needed.
            return operators if is_compiling() else gpu_kernel(device)
        if self.backend == "auto" and device.type == "cpu" and not is_compiling():
            return cpu_kernel()
        return None
