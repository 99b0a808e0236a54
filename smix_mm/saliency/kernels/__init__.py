"""Compiled forms of the default detector; the definition they equal is in ``fine_grained.py``.

A kernel is a module with two functions: ``saliency(images)`` and
``extreme(images, salient, pick)``, with the contracts of
:class:`~smix_mm.saliency.SaliencyDetector`.
"""

from __future__ import annotations

import functools
import logging
from types import ModuleType


@functools.cache
def cpu_kernel() -> ModuleType | None:
    """The CPU kernel, or None, with one log line, where numba cannot be imported."""
    try:
        from . import cpu
    except ImportError as error:
        logging.getLogger("smix_mm").warning(
            "no numba (%s): fine-grained saliency runs in torch, which is many times slower on a CPU; "
            "`pip install numba` helps",
            error,
        )
        return None
    return cpu
