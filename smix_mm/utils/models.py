"""Models and the wrappers around them."""

from __future__ import annotations

from typing import Any

from torch import nn


def unwrapped(model: nn.Module) -> Any:
    """The model inside wrappers such as torch's ``DistributedDataParallel`` and mmengine's subclasses of it.

    A module is a wrapper if it has a single child and gives access to it by an attribute ``module``.

    Args:
        model: A wrapped model, or any other, which is returned unchanged.
    """
    while isinstance(inner := getattr(model, "module", None), nn.Module) and len(list(model.children())) == 1:
        model = inner
    return model
