"""Which compiled kernel runs on a device; each equals ``definition``.

A kernel is a module with two functions, ``saliency(images)`` and ``extreme(images, salient, pick)``,
defined as for :class:`~smix_mm.saliency.SaliencyDetector`: ``numba_kernel``, ``triton_kernel``, and
``operators``, which is the GPU kernel in a form that ``torch.compile`` supports.
"""

from __future__ import annotations

import functools
import logging
from types import ModuleType

import torch


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
