"""Which compiled kernel runs on a device; each equals ``definition``.

A kernel has two functions, ``saliency(images)`` and ``extreme(images, salient, pick)``, defined as for
:class:`~smix_mm.saliency.SaliencyDetector`: the modules ``numba_kernel`` and ``triton_kernel``, and :data:`operators`.
"""

from __future__ import annotations

import functools
import logging
from types import ModuleType, SimpleNamespace
from typing import Any, Callable

import torch
from torch import Tensor

from ..base import map_extreme
from .definition import fine_grained_saliency


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


def _operator(schema: str, fake: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: register under the function's name; ``fake`` computes only shapes and dtypes."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if not hasattr(torch.library, "custom_op"):
            return function
        name = f"smix_mm::fine_grained{function.__name__}"
        operator = torch.library.custom_op(name, function, mutates_args=(), schema=schema)
        operator.register_fake(fake)
        return operator

    return decorate


def _fake_saliency(images: Tensor) -> Tensor:
    return images.new_empty((images.shape[0], *images.shape[2:]), dtype=torch.float32)


def _fake_extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    count = images.shape[0]
    return images.new_empty((count, 2), dtype=torch.int64), images.new_empty(count, dtype=torch.bool)


@_operator("(Tensor images) -> Tensor", _fake_saliency)
def _saliency(images: Tensor) -> Tensor:
    kernel = gpu_kernel(images.device)
    return kernel.saliency(images) if kernel else fine_grained_saliency(images)


@_operator("(Tensor images, bool salient, Tensor? pick) -> (Tensor, Tensor)", _fake_extreme)
def _extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    kernel = gpu_kernel(images.device)
    if kernel:
        return kernel.extreme(images, salient, pick)
    return map_extreme(fine_grained_saliency(images), salient, pick)


operators = SimpleNamespace(saliency=_saliency, extreme=_extreme)
"""The GPU kernel, or else the definition, as operators that ``torch.compile`` puts into its graph unchanged.

Before torch 2.4, which introduced custom operators, these are plain functions, and compilation breaks the graph.
"""
