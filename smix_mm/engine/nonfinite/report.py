"""What a stop at a non-finite loss reports: losses, weights, images, and the checkpoint to go on from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Iterator, Mapping

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...transfer.checkpoint import read_checkpoint, state_dict_of
from ...utils.errors import CheckpointError
from ...utils.files import newest_first
from ...utils.text import first_few

_SHOWN = 8


def describe(found: list[dict[str, Any]], blame: bool = True) -> str:
    """Describe which losses are not finite, on which rank, and if ``blame``, for which files."""
    parts = []
    for each in found:
        if each["bad"]:
            # The sum is last, unlike in the log, because a part is the cause.
            names = sorted((name for name in each["losses"] if "loss" in name), key=lambda name: name == "loss")
            bad = [f"{name} is {each['losses'][name]}" for name in names if not math.isfinite(each["losses"][name])]
            where = f" on rank {each['rank']}" if len(found) > 1 else ""
            hint = f" (check {first_few(each['suspects'], _SHOWN)})" if each["suspects"] else ""
            files = f" for {first_few(each['files'], _SHOWN)}{hint}" if blame else ""
            parts.append(f"{', '.join(bad) or 'their sum is not'}{where}{files}")
    return "; ".join(parts)


def list_newest(folder: Path) -> list[str]:
    """The checkpoints of a folder, the newest first."""
    return [str(path) for path in newest_first(folder.glob("*.pth")) if not path.name.startswith(".")]


def read_weights(file: str, own: dict[str, Tensor], iteration: int) -> dict[str, Tensor] | None:
    """The trained weights of a checkpoint to resume from.

    None if they are not finite or not of this model, or after ``iteration``, which an earlier run wrote.
    """
    try:
        content = read_checkpoint(file)
        state = trained_weights(content)
    except (CheckpointError, OSError, AttributeError):
        return None
    fits = all(getattr(state.get(name), "shape", None) == value.shape for name, value in own.items())
    finite = fits and all(is_finite(state[name]) for name in own)
    written = (content.get("meta") or {}).get("iter")
    later = isinstance(written, int) and written > iteration
    return state if finite and not later and "optimizer" in content else None


def advise(cfg: Mapping[str, Any], bad: list[str], good: str | None) -> str:
    """How to go on when the weights are the cause.

    Args:
        cfg: The run's config.
        bad: Names of the parameters that are not finite.
        good: The checkpoint to go on from; None if there is none.
    """
    reason = f"were not finite before it ({first_few(bad, _SHOWN)})" if bad else "give no normal loss of other images"
    rate = ((cfg.get("optim_wrapper") or {}).get("optimizer") or {}).get("lr")
    smaller = f"{rate / 10:g}" if isinstance(rate, (int, float)) else "..."
    smaller = f"--cfg-options optim_wrapper.optimizer.lr={smaller}"
    if good is None:
        then = f", and there is no good one: start again with a smaller learning rate ({smaller}), or with clip_grad"
    else:
        then = f"; the last good one is {good}: go on with a smaller learning rate, --resume {good} --config-schedule"
        then += f" {smaller}"
    return f"the weights {reason}, so no checkpoint is saved{then}"


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
