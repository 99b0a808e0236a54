"""Replacements for mmcv's compiled operators, computed by torchvision's kernels or in torch.

This module takes the place of ``mmcv._ext``. Names and arguments are those of mmcv's compiled module, whose operators
fill outputs that are passed as arguments, and add to gradients. Buffers that only mmcv's kernels need are among
``others`` and are not used. Any other operator raises when it is called, see :func:`__getattr__`.
Coordinates, targets and dtypes are as documented in :mod:`mmcv.ops`; every operator runs on the device of its inputs.
"""

from __future__ import annotations

from typing import Any, Callable, NoReturn

import numpy as np
import torch
import torchvision  # noqa: F401  (registers the kernels)
from torch import Tensor

from .mmcv_operators import missing, replacement

_KERNELS = torch.ops.torchvision
_GEOMETRY = ("dH", "dW", "padH", "padW", "dilationH", "dilationW", "group", "deformable_group")
_MODULATED = ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "group", "deformable_group")
# Lower bound for arguments of log(): the least positive normal float32, as in mmcv's kernels.
_TINY = torch.finfo(torch.float32).tiny


def __getattr__(name: str) -> Callable[..., NoReturn]:
    """A function that raises when called, since mmcv takes all its operators from the module on import."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def raise_missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise missing(name)

    return raise_missing


def get_compiler_version() -> str:  # for mmcv.utils.collect_env, like the next
    return "not compiled"


def get_compiling_cuda_version() -> str:
    return "not available"


@replacement
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that are kept, by decreasing score."""
    # mmcv's own sort and float32 threshold, for the same result with equal scores and overlaps at the threshold.
    order = scores.sort(0, descending=True)[1]
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset]) if offset else boxes
    return order[_KERNELS.nms(boxes[order], scores[order], float(np.float32(iou_threshold)))]


@replacement
def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, **options: Any) -> Tensor:
    """Fill ``dets`` (N, 5) with boxes and reduced scores; return the indices of those kept. For CPU tensors only."""
    method, offset = options["method"], options["offset"]
    iou_threshold, sigma, min_score = (np.float32(options[name]) for name in ("iou_threshold", "sigma", "min_score"))
    corners, lowered = boxes.numpy(), scores.numpy().copy()
    areas = (corners[:, 2:] - corners[:, :2] + offset).prod(1)
    # A removed box is replaced by the last one, as in mmcv, which decides between equal scores.
    order = np.arange(len(corners))
    done = 0
    while done < len(order):
        best = done + lowered[order[done:]].argmax()
        order[done], order[best] = order[best], order[done]
        box, rest = order[done], order[done + 1 :]
        size = (
            np.minimum(corners[rest, 2:], corners[box, 2:]) - np.maximum(corners[rest, :2], corners[box, :2]) + offset
        )
        shared = size.clip(0).prod(1)
        with np.errstate(invalid="ignore"):  # 0 / 0 for two boxes without area
            overlap = np.nan_to_num(shared / (areas[box] + areas[rest] - shared))
        if method == 2:
            lowered[rest] *= np.exp(-(overlap * overlap) / sigma)
        else:
            lowered[rest] *= np.where(overlap >= iou_threshold, 1 - overlap if method == 1 else 0, 1)
        done += 1
        place = done
        while place < len(order):
            if lowered[order[place]] < min_score:
                order[place] = order[-1]
                order = order[:-1]
            else:
                place += 1
    kept = torch.from_numpy(order)
    dets[: len(kept)] = torch.cat([boxes[kept], torch.from_numpy(lowered)[kept, None]], 1)
    return kept


@replacement
def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **options: Any
) -> None:
    """Fill ``output`` (K, C, aligned_height, aligned_width) with averages (``pool_mode`` 1)."""
    if options["pool_mode"] != 1:
        raise missing("roi_align_forward with pool_mode='max'")
    size = (options["spatial_scale"], options["aligned_height"], options["aligned_width"])
    output.copy_(_KERNELS.roi_align(input, rois, *size, options["sampling_ratio"], options["aligned"]))


@replacement
def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, **options: Any
) -> None:
    """Add to ``grad_input`` (N, C, H, W)."""
    size = (options["spatial_scale"], options["aligned_height"], options["aligned_width"], *grad_input.shape)
    grad_input += _KERNELS._roi_align_backward(grad_output, rois, *size, options["sampling_ratio"], options["aligned"])


@replacement
def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor, argmax: Tensor, **options: Any) -> None:
    """Fill ``output`` (K, C, pooled_height, pooled_width) and ``argmax``: an index into H x W, or -1 for an empty bin.

    Bins outside the image and those of a box with no size are empty.
    """
    # Not torchvision's, which rounds the corners of a box where mmcv does not.
    height, width = input.shape[2:]
    start, end = rois[:, 1:3] * options["spatial_scale"], (rois[:, 3:] + 1) * options["spatial_scale"]
    size = end - start
    columns = _bins(start[:, 0], size[:, 0], options["pooled_width"], width)
    rows = _bins(start[:, 1], size[:, 1], options["pooled_height"], height)
    empty = ~(rows.any(2)[:, :, None] & columns.any(2)[:, None] & (size > 0).all(1)[:, None, None])
    images = rois[:, 0].long()
    for k in range(len(rois)):
        image = input.index_select(0, images[k : k + 1])[0]
        # Of equal values the first counts, row by row: so first within the rows, (C, pooled_width, H).
        by_row, x = image[:, None].masked_fill(~columns[k][None, :, None], -torch.inf).max(3)
        values, y = by_row[:, None].masked_fill(~rows[k][None, :, None], -torch.inf).max(3)
        x = x[:, None].expand(-1, len(rows[k]), -1, -1).gather(3, y[..., None])[..., 0]
        output[k] = values.masked_fill(empty[k], 0)
        argmax[k] = (y * width + x).masked_fill(empty[k], -1).int()


def _bins(start: Tensor, size: Tensor, count: int, extent: int) -> Tensor:
    """Which of ``extent`` pixels each of the ``count`` bins of a box covers: bool (K, count, extent)."""
    bin_size, places = size[:, None] / count, torch.arange(count, device=start.device)
    first = (places * bin_size + start[:, None]).floor()
    end = ((places + 1) * bin_size + start[:, None]).ceil()
    pixels = torch.arange(extent, device=start.device)
    return (pixels >= first[..., None]) & (pixels < end[..., None])


@replacement
def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor, grad_input: Tensor, **options: Any) -> None:
    """Add to ``grad_input`` (N, C, H, W)."""
    channels, height, width = grad_input.shape[1:]
    planes = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    places = planes[..., None, None] * (height * width) + argmax.clamp(min=0)
    grad_input.view(-1).index_add_(0, places.flatten(), grad_output.masked_fill(argmax < 0, 0).flatten())


@replacement
def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``output`` (N, C) with the loss of logits; a target of C is background."""
    p = _float(input).sigmoid()
    hit = -alpha * (1 - p) ** gamma * p.clamp(min=_TINY).log()
    miss = (alpha - 1) * p**gamma * (1 - p).clamp(min=_TINY).log()
    output.copy_(_weighted(torch.where(_one_hot(target, p), hit, miss), weight, target))


@replacement
def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``grad_input`` (N, C) with the derivative of each loss by its logit."""
    p = _float(input).sigmoid()
    hit = -alpha * (1 - p) ** gamma * (1 - p - gamma * p * p.clamp(min=_TINY).log())
    miss = (alpha - 1) * p**gamma * (gamma * (1 - p) * (1 - p).clamp(min=_TINY).log() - p)
    grad_input.copy_(_weighted(torch.where(_one_hot(target, p), hit, miss), weight, target))


@replacement
def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``output`` (N,) with the loss of the softmax ``input`` (N, C); a negative target has none."""
    p = _float(input).gather(1, target.clamp(min=0)[:, None])[:, 0]
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=_TINY).log()
    output.copy_(_weighted(loss.masked_fill(target < 0, 0), weight, target.clamp(min=0)))


@replacement
def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``grad_input`` (N, C) with the derivative of each loss by the logits of the softmax ``input``."""
    softmax = _float(input)
    p = softmax.gather(1, target.clamp(min=0)[:, None])[:, 0]
    slope = alpha * ((1 - p) ** (gamma - 1) * gamma * p * p.clamp(min=_TINY).log() - (1 - p) ** gamma)
    slope = _weighted(slope.masked_fill(target < 0, 0), weight, target.clamp(min=0))
    grad_input.copy_(slope[:, None] * (_one_hot(target, softmax).to(softmax) - softmax))


def _float(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _one_hot(target: Tensor, like: Tensor) -> Tensor:
    return target[:, None] == torch.arange(like.shape[1], device=like.device)


def _weighted(values: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """Multiply by the weight of each target's class, unless ``weight`` is empty."""
    return values * weight[target].reshape(-1, *[1] * (values.dim() - 1)) if weight.numel() else values


@replacement
def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, *others: Tensor, **geometry: int
) -> None:
    output.copy_(_KERNELS.deform_conv2d(input, weight, offset, *_unmodulated(input, weight, geometry)))


@replacement
def deform_conv_backward_input(
    input: Tensor, offset: Tensor, grad_output: Tensor, grad_input: Tensor, grad_offset: Tensor, weight: Tensor,
    *others: Tensor, **geometry: int,
) -> None:  # fmt: skip
    arguments = (grad_output, input, weight, offset, *_unmodulated(input, weight, geometry))
    of_input, _, of_offset, *_ = _KERNELS._deform_conv2d_backward(*arguments)
    grad_input += of_input
    grad_offset += of_offset


@replacement
def deform_conv_backward_parameters(
    input: Tensor, offset: Tensor, grad_output: Tensor, grad_weight: Tensor, *others: Tensor, scale: float,
    **geometry: int,
) -> None:  # fmt: skip
    """Add the gradient times ``scale``."""
    weight = torch.zeros_like(grad_weight)  # the gradient does not depend on it
    arguments = (grad_output, input, weight, offset, *_unmodulated(input, weight, geometry))
    grad_weight += scale * _KERNELS._deform_conv2d_backward(*arguments)[1]


def _unmodulated(input: Tensor, weight: Tensor, geometry: dict[str, int]) -> tuple[Any, ...]:
    """Torchvision's arguments after the offset: no mask, a bias of zeros, and the geometry."""
    none = input.new_zeros(len(input), 1)
    return (none, input.new_zeros(len(weight)), *(geometry[name] for name in _GEOMETRY), False)


@replacement
def modulated_deform_conv_forward(
    input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor, mask: Tensor, output: Tensor,
    *others: Tensor, **geometry: int,
) -> None:  # fmt: skip
    output.copy_(_KERNELS.deform_conv2d(input, weight, offset, mask, *_modulated(weight, bias, geometry)))


@replacement
def modulated_deform_conv_backward(
    input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor, mask: Tensor, *others: Tensor,
    **geometry: int,
) -> None:  # fmt: skip
    """Add to the gradients of input, weight, bias (if ``with_bias``), offset and mask; ``grad_output`` is last."""
    _, grad_input, grad_weight, grad_bias, grad_offset, grad_mask, grad_output = others
    arguments = (grad_output, input, weight, offset, mask, *_modulated(weight, bias, geometry))
    found = _KERNELS._deform_conv2d_backward(*arguments)
    gradients = [grad_input, grad_weight, grad_offset, grad_mask, grad_bias]
    for gradient, addend in zip(gradients if geometry["with_bias"] else gradients[:-1], found):
        gradient += addend


def _modulated(weight: Tensor, bias: Tensor, geometry: dict[str, int]) -> tuple[Any, ...]:
    """Torchvision's arguments after the mask."""
    bias = bias if geometry["with_bias"] else weight.new_zeros(len(weight))
    return (bias, *(geometry[name] for name in _MODULATED), True)
