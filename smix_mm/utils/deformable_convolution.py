"""Replacements for mmcv's deformable convolutions, computed by torchvision's kernels.

Outputs and gradients are arguments: a forward function fills ``output`` (N, C_out, H_out, W_out), a backward function
adds to the gradients. Buffers that mmcv's kernels need are among ``others`` and are not used.
"""

from __future__ import annotations

from typing import Any

import torch
import torchvision  # noqa: F401  (registers the kernels)
from torch import Tensor

from .mmcv_operators import replacement

_KERNELS = torch.ops.torchvision
_GEOMETRY = ("dH", "dW", "padH", "padW", "dilationH", "dilationW", "group", "deformable_group")
_MODULATED = ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "group", "deformable_group")


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
