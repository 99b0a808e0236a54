"""Checks of tensors that a caller gives, and models without their wrappers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# The smallest size of a dimension by its letter; frames (T) and clips of a video (M) cannot be none.
MIN_SIZES = {"H": 3, "W": 3, "T": 1, "M": 1}


def check_images(images: Any, *layouts: str, dtype: str = "floating-point or uint8", name: str = "images") -> None:
    """Raise unless ``images`` is a tensor of images.

    Args:
        images: the argument to check.
        *layouts: the shapes that are allowed, such as ``'N, 3, H, W'``. A number is the size of that dimension;
            H and W are at least 3, T and M at least 1, every other letter stands for any size.
        dtype: ``'uint8'``, ``'floating-point'``, or both as in the default.
        name: of the argument, for the message.

    Raises:
        TypeError: not a tensor, or one of another dtype.
        ValueError: a tensor of another shape.
    """
    if not isinstance(images, Tensor) or not (
        ("floating-point" in dtype and images.is_floating_point()) or ("uint8" in dtype and images.dtype == torch.uint8)
    ):
        given = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} should be a {dtype} tensor, got {given}")
    if not any(_fits(images, layout.split(", ")) for layout in layouts):
        shapes = " or ".join(f"({layout})" for layout in layouts)
        least = "T at least 1, H and W at least 3" if "T" in shapes else "H and W at least 3"
        raise ValueError(f"{name} should have the shape {shapes}, {least}, got {tuple(images.shape)}")


def _fits(images: Tensor, layout: list[str]) -> bool:
    return images.dim() == len(layout) and all(
        size == int(expected) if expected.isdigit() else size >= MIN_SIZES.get(expected, 0)
        for size, expected in zip(images.shape, layout)
    )


def unwrapped(model: nn.Module) -> Any:
    """The model inside wrappers such as torch's ``DistributedDataParallel`` and mmengine's subclasses of it.

    A module is a wrapper if it has a single child and gives access to it by an attribute ``module``.

    Args:
        model: A wrapped model, or any other, which is returned unchanged.
    """
    while isinstance(inner := getattr(model, "module", None), nn.Module) and len(list(model.children())) == 1:
        model = inner
    return model
