"""The GPU kernel as custom operators of torch, which ``torch.compile`` puts into its graph unchanged.

Where Triton does not run, the operators compute the definition. Before torch 2.4, which introduced custom
operators, these are plain functions, and compilation breaks the graph at them.
"""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch import Tensor

from ..base import map_extreme
from .backends import gpu_kernel
from .definition import fine_grained_saliency


def _operator(schema: str, fake: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: register under the function's name; ``fake`` computes only shapes and dtypes."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if not hasattr(torch.library, "custom_op"):
            return function
        name = f"smix_mm::fine_grained_{function.__name__}"
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
def saliency(images: Tensor) -> Tensor:
    """Maps, float32 (N, H, W) in [0, 1], of images, uint8 (N, 3, H, W)."""
    kernel = gpu_kernel(images.device)
    return kernel.saliency(images) if kernel else fine_grained_saliency(images)


@_operator("(Tensor images, bool salient, Tensor? pick) -> (Tensor, Tensor)", _fake_extreme)
def extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of images."""
    kernel = gpu_kernel(images.device)
    return (
        kernel.extreme(images, salient, pick) if kernel else map_extreme(fine_grained_saliency(images), salient, pick)
    )
