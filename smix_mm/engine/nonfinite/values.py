"""Finding values that are NaN or infinite in models, batches and losses."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...transfer.checkpoint import state_dict_of


def bad_parameters(model: nn.Module) -> list[str]:
    """Names of the parameters and running statistics with non-finite values."""
    named: dict[str, Tensor] = dict(model.named_parameters())
    named.update((name, buffer) for name, buffer in model.named_buffers() if ".running_" in f".{name}")
    return [name for name, tensor in named.items() if not is_finite(tensor)]


def suspects(batch: Any, files: list[str]) -> Iterator[str]:
    """Descriptions of non-finite images (from ``files``) and annotations of a batch, and of boxes without area."""
    inputs = batch.get("inputs") if isinstance(batch, dict) else None
    for tensor in float_tensors(inputs):
        if tensor.dim() == 4 and not is_finite(tensor):
            yield f"the batch itself ({kind_of(tensor)}){images_of(tensor, files)}"
    if isinstance(inputs, (list, tuple)):
        for image, file in zip(inputs, files):
            if isinstance(image, Tensor) and not is_finite(image):
                yield f"the batch itself ({kind_of(image)}), in {file}"
    samples = batch.get("data_samples") if isinstance(batch, dict) else None
    for sample, file in zip(samples or (), files):
        if any(not is_finite(tensor) for tensor in float_tensors(sample)):
            yield f"the annotations of {file}"
        boxes = _boxes(sample)
        if boxes is not None and bool((boxes[:, 2:] <= boxes[:, :2]).any()):
            yield f"boxes without area in {file}"


def _boxes(sample: Any) -> Tensor | None:
    boxes = getattr(getattr(sample, "gt_instances", None), "bboxes", None)
    boxes = getattr(boxes, "tensor", boxes)
    return boxes if isinstance(boxes, Tensor) and boxes.dim() == 2 and boxes.shape[1] == 4 else None


def float_tensors(value: Any) -> Iterator[Tensor]:
    """All floating-point tensors in containers and samples."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, BaseDataElement):
        yield from float_tensors(dict(value.items()))
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from float_tensors(each)
    elif isinstance(getattr(value, "tensor", None), Tensor):  # boxes
        yield from float_tensors(value.tensor)


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor has no NaN and no infinity."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def kind_of(tensor: Tensor) -> str:
    """``'NaN'`` if a tensor with non-finite values contains NaN, else ``'infinity'``."""
    return "NaN" if bool(tensor.isnan().any()) else "infinity"


def images_of(tensor: Tensor, files: list[str]) -> str:
    """``', in FILE, ...'`` for the non-finite rows of a tensor; empty if its rows are not the images of a batch."""
    if tensor.dim() < 2 or len(tensor) != len(files):
        return ""
    bad = (~torch.isfinite(tensor)).flatten(1).any(1).tolist()
    if all(bad) and len(bad) > 1:
        return ", in every image"
    return ", in " + ", ".join(file for file, is_bad in zip(files, bad) if is_bad)


def as_floats(log_vars: Mapping[str, Any]) -> dict[str, float]:
    """Convert the losses and other values of a training step to floats."""
    return {name: float(value.detach() if isinstance(value, Tensor) else value) for name, value in log_vars.items()}


def trained_weights(content: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a training's checkpoint that were trained, not their moving average (EMA)."""
    state = dict(state_dict_of(content))
    for name, value in content.get("ema_state_dict", {}).items():
        if name.startswith("module."):
            state[name[len("module.") :]] = value
    return state
