"""The fine-grained detector, and which compiled kernel computes its map on a device; each equals ``definition``.

A kernel has two functions, ``saliency(images)`` and ``extreme(images, salient, pick)``, defined as for
:class:`~smix_mm.saliency.SaliencyDetector`: the modules ``numba_kernel`` and ``triton_kernel``, and :data:`operators`.
"""

from __future__ import annotations

import functools
import logging
import os
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ...utils.choices import check_option
from ...utils.errors import PackageError
from ..base import SaliencyDetector, map_extreme, register
from ..normalization import NormalizedImages
from .definition import fine_grained_saliency

BACKENDS = ("auto", "torch", "numba", "triton")

HAS_TRITON = find_spec("triton") is not None


@functools.cache
def cpu_kernel() -> ModuleType | None:
    """The CPU kernel; None, with one warning, if numba cannot be imported."""
    try:
        from . import numba_kernel as cpu
    except ImportError as error:
        logging.getLogger("smix_mm").warning(
            "numba cannot be imported (%s): fine-grained saliency runs in plain torch, which is many times slower on "
            "a CPU; `pip install numba` helps",
            error,
        )
        return None
    return cpu


@functools.cache
def gpu_kernel(device: torch.device) -> ModuleType | None:
    """The Triton kernel; None, with one warning, if it does not run on ``device`` or its results differ."""
    try:
        from . import triton_kernel as gpu

        gpu.check(device)
    except Exception as error:  # Triton, a C compiler or the support of this GPU may be missing
        logging.getLogger("smix_mm").warning(
            "the Triton kernel cannot be used on %s (%s: %s): fine-grained saliency runs in plain torch, more slowly",
            device,
            type(error).__name__,
            (str(error).strip() or "no reason given").splitlines()[0],
        )
        return None
    return gpu


def is_compiling() -> bool:
    """Whether torch.compile, which cannot trace numba, is tracing; False in releases of torch without this check."""
    check = getattr(getattr(torch, "compiler", None), "is_compiling", None)
    return check is not None and check()


def _saliency(images: Tensor) -> Tensor:
    kernel = gpu_kernel(images.device)
    return kernel.saliency(images) if kernel else fine_grained_saliency(images)


def _extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    kernel = gpu_kernel(images.device)
    if kernel:
        return kernel.extreme(images, salient, pick)
    return map_extreme(fine_grained_saliency(images), salient, pick)


def _like_saliency(images: Tensor) -> Tensor:
    return images.new_empty((images.shape[0], *images.shape[2:]), dtype=torch.float32)


def _like_extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    count = images.shape[0]
    return images.new_empty((count, 2), dtype=torch.int64), images.new_empty(count, dtype=torch.bool)


operators = SimpleNamespace(saliency=_saliency, extreme=_extreme)
"""The GPU kernel, or else the definition, as operators that ``torch.compile`` puts into its graph unchanged.

Before torch 2.4, which introduced custom operators, these are plain functions, and compilation breaks the graph.
"""
if hasattr(torch.library, "custom_op"):
    for _name, _like, _schema in (
        ("saliency", _like_saliency, "(Tensor images) -> Tensor"),
        ("extreme", _like_extreme, "(Tensor images, bool salient, Tensor? pick) -> (Tensor, Tensor)"),
    ):
        _operator = torch.library.custom_op(
            f"smix_mm::fine_grained_{_name}", getattr(operators, _name), mutates_args=(), schema=_schema
        )
        _operator.register_fake(_like)
        setattr(operators, _name, _operator)


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
        PackageError: numba, or Triton, is not installed or does not run here.

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
        return kernel is not None and kernel is not operators and kernel is not cpu_kernel()

    def _kernel(self, device: torch.device) -> Any:
        """What computes on ``device``, see the top of this module; None for the definition."""
        if self.backend == "numba":
            if device.type != "cpu":
                raise ValueError(f"images should be on a CPU for backend='numba', got {device}; or use 'auto'")
            if cpu_kernel() is None:
                raise PackageError("backend='numba' needs numba: `pip install numba`, or use 'auto'")
            return cpu_kernel()
        if self.backend == "triton":
            if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
                raise ValueError(f"images should be on a GPU for backend='triton', got {device}; or use 'auto'")
            if not HAS_TRITON or not (is_compiling() or gpu_kernel(device)):
                raise PackageError(f"backend='triton' needs a Triton that runs on {device}: install it, or use 'auto'")
        if self.backend == "triton" or (self.backend == "auto" and device.type == "cuda"):
            # Calling an operator takes longer than the kernel itself, so it is used only where it is needed.
            return operators if is_compiling() else gpu_kernel(device)
        if self.backend == "auto" and device.type == "cpu" and not is_compiling():
            return cpu_kernel()
        return None
