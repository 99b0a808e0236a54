"""Fine-grained saliency (Montabone & Soto 2010), as OpenCV has it: the definition, in plain torch."""

from __future__ import annotations

import os
from importlib.util import find_spec
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import SaliencyDetector, register
from .kernels import cpu_kernel, gpu_kernel, is_compiling, operators
from .normalized import NormalizedImages

BACKENDS = ("auto", "torch", "numba", "triton")

HAS_TRITON = find_spec("triton") is not None

HALF_WIDTHS = (12, 24, 48, 28, 56, 112)
"""Half-widths of the six centre-surround windows, pixels, at every picture size."""

# Sums up to here are exact in float32, in which OpenCV keeps its integral image.
EXACT_SUM = 1 << 24


@register
class FineGrainedSaliency(SaliencyDetector):
    """Fine-grained saliency: a pixel against the means of six windows around it.

    Equal to OpenCV's ``StaticSaliencyFineGrained`` on the same picture: ``round(255 * map)``
    is identical on every pixel. On a GPU the Triton kernel is compared with the definition before its first
    use, and left out where it differs; it has not yet been run on one.

    How it works: the grey picture is blurred twice. For each of six windows, clipped at the
    borders, the difference of the pixel and the mean of the others goes truncated into a
    bright-on-dark or a dark-on-bright sum. Each sum is scaled to a maximum of 255, and the
    two are added as bytes. Part of the definition, because OpenCV does so: that last addition
    wraps around at 256; a sum that is zero everywhere stays zero; a flat picture gives zeros.

    Args:
        backend: what computes it; the result is the same. ``'torch'``: plain torch, on any
            device. ``'numba'``: a compiled kernel for CPU tensors. ``'triton'``: a compiled kernel
            for GPU tensors, also under ``torch.compile`` and, after a first call, in CUDA graphs.
            ``'auto'`` (default): the kernel for the device where that runs, else torch, as also
            for CPU tensors under ``torch.compile``.

    Raises:
        ValueError: ``backend`` is none of these, or none for the device that the pictures are on.
        ImportError: what ``backend`` names is not installed, or does not run here.

    Source: S. Montabone and A. Soto, *Human detection using a mobile platform and novel
    features derived from a visual saliency mechanism*, Image and Vision Computing 28, 2010.
    """

    def __init__(self, backend: str = "auto") -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend is {backend!r}; wanted one of {BACKENDS}")
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

    def _kernel(self, device: torch.device) -> ModuleType | None:
        if self.backend == "numba":
            if device.type != "cpu":
                raise ValueError(f"backend='numba' got pictures on {device}; wanted CPU tensors, or 'auto'")
            kernel = cpu_kernel()
            if kernel is None:
                raise ImportError("backend='numba' needs numba: `pip install numba`, or use 'auto'")
            return kernel
        if self.backend == "triton":
            if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
                raise ValueError(f"backend='triton' got pictures on {device}; wanted GPU tensors, or 'auto'")
            if not HAS_TRITON or not (is_compiling() or gpu_kernel(device)):
                raise ImportError(f"backend='triton' needs a Triton that runs on {device}: install it, or use 'auto'")
            return self._gpu_kernel(device)
        if self.backend == "auto" and device.type == "cuda":
            return self._gpu_kernel(device)
        if self.backend == "auto" and device.type == "cpu" and not is_compiling():
            return cpu_kernel()
        return None

    @staticmethod
    def _gpu_kernel(device: torch.device) -> ModuleType | None:
        # An operator costs a call more time than the kernel itself, so it serves where it is needed alone.
        return operators if is_compiling() else gpu_kernel(device)


def fine_grained_saliency(images: Tensor) -> Tensor:
    """The whole definition: uint8 (N, 3, H, W) to float32 (N, H, W) in [0, 1], on any device."""
    grey = blur(blur(grey_picture(images)))
    bright, dark = centre_surround(grey)
    mixed = (_scale_to_255(bright) + _scale_to_255(dark)) & 255
    # A product, not a quotient: these are the very floats that OpenCV gives.
    return mixed.to(torch.float32) * (1 / 255)


def grey_picture(images: Tensor) -> Tensor:
    """BT.601 luma in OpenCV's 15-bit fixed point; uint8 (N, 3, H, W) to int32 (N, H, W)."""
    red, green, blue = images.to(torch.int32).unbind(1)
    return (red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15


def blur(grey: Tensor) -> Tensor:
    """3x3 binomial blur rounded to whole grey values, borders reflected; int32 (N, H, W)."""
    # Reflection padding is not written for integers; whole numbers this small are exact in floats.
    padded = F.pad(grey[:, None].to(torch.float32), (1, 1, 1, 1), mode="reflect")[:, 0].to(torch.int32)
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:] + 8) >> 4


def centre_surround(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over the six windows of the truncated differences, int32 (N, H, W) each.

    Args:
        grey: int32 (N, H, W) in 0..255.

    Returns:
        ``(bright, dark)``: by how much the pixel is above, and below, its surround.
    """
    height, width = grey.shape[1:]
    integral = integral_picture(grey)
    centre = grey.to(torch.float32)
    bright, dark = torch.zeros_like(grey), torch.zeros_like(grey)
    for half in HALF_WIDTHS:
        top, bottom = _window(height, half, grey.device)
        left, right = _window(width, half, grey.device)
        upper, lower = integral[:, top], integral[:, bottom]
        # The order of these terms is OpenCV's; beyond EXACT_SUM it matters.
        total = lower[:, :, right] + upper[:, :, left] - lower[:, :, left] - upper[:, :, right]
        others = (bottom - top)[:, None] * (right - left) - 1
        difference = centre - (total - centre) / others.to(torch.float32)
        bright += difference.clamp(min=0).to(torch.int32) & 255
        dark += (-difference).clamp(min=0).to(torch.int32) & 255
    return bright, dark


def integral_picture(grey: Tensor) -> Tensor:
    """float32 (N, H + 1, W + 1) sums of all pixels above and left, rounded as OpenCV rounds."""
    rows = grey.cumsum(2, dtype=torch.int32)
    if grey.shape[1] * grey.shape[2] * 255 <= EXACT_SUM:
        sums = rows.cumsum(1, dtype=torch.int32).to(torch.float32)
    else:
        exact_rows = rows.to(torch.float32)
        sums = torch.empty_like(exact_rows)
        running = torch.zeros_like(exact_rows[:, 0])
        for y in range(grey.shape[1]):
            running = running + exact_rows[:, y]
            sums[:, y] = running
    return F.pad(sums, (1, 0, 1, 0))


def _window(side: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and last-plus-one index of the window around each place along one side."""
    place = torch.arange(side, device=device)
    return (place - half + 1).clamp(0, side), (place + half + 1).clamp(0, side)


def _scale_to_255(total: Tensor) -> Tensor:
    """Scale each picture's sum to a maximum of 255, truncated; a sum of zeros stays zeros."""
    most = total.amax((1, 2), keepdim=True).clamp(min=1)
    # Divide in float32, then multiply in float64, as OpenCV does: both roundings show.
    ratio = total.to(torch.float32) / most.to(torch.float32)
    return (ratio.to(torch.float64) * 255).to(torch.int32)
