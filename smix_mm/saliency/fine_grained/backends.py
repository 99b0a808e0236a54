"""Compiled forms of the default detector; the definition they equal is in ``fine_grained.py``.

A kernel is a module with two functions: ``saliency(images)`` and
``extreme(images, salient, pick)``, with the contracts of
:class:`~smix_mm.saliency.SaliencyDetector`. ``operators`` is one, too: the GPU kernel in a form
that ``torch.compile`` takes.
"""

from __future__ import annotations

import functools
import logging
from types import ModuleType

import torch


@functools.cache
def cpu_kernel() -> ModuleType | None:
    """The CPU kernel, or None, with one log line, where numba cannot be imported."""
    try:
        from . import numba_kernel as cpu
    except ImportError as error:
        logging.getLogger("smix_mm").warning(
            "no numba (%s): fine-grained saliency runs in torch, which is many times slower on a CPU; "
            "`pip install numba` helps",
            error,
        )
        return None
    return cpu


@functools.cache
def gpu_kernel(device: torch.device) -> ModuleType | None:
    """The Triton kernel, or None, with one log line, where it does not run or computes another map on ``device``."""
    try:
        from . import triton_kernel as gpu

        gpu.check(device)
    except Exception as error:  # what is missing may be Triton, a C compiler or the GPU's support: each has its own
        logging.getLogger("smix_mm").warning(
            "no Triton kernel on %s (%s: %s): fine-grained saliency runs in torch, which is slower there",
            device,
            type(error).__name__,
            (str(error).strip() or "no reason given").splitlines()[0],
        )
        return None
    return gpu


def is_compiling() -> bool:
    """Whether torch.compile is tracing, which cannot look into numba; old releases cannot tell."""
    ask = getattr(getattr(torch, "compiler", None), "is_compiling", None)
    return ask is not None and ask()
