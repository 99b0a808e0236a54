"""Pasting compiled for GPUs with Triton: every pixel of the mixed batch is read once and written once.

So far it has only been run in Triton's interpreter, not measured on a GPU; there :func:`works` tests it before its
first use.
"""

from __future__ import annotations

import functools
import logging

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def paste_kernel(
    images,
    mixed,
    partner,
    source_boxes,
    target_boxes,
    size,
    height,
    width,
    stride_h,
    stride_w,
    BLOCK: tl.constexpr,
):
    """Paste into one block of an image's elements, in the order of memory, channels first or last."""
    image = tl.program_id(0).to(tl.int64)
    element = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = element < size
    y, x = element // stride_h % height, element // stride_w % width
    target, source = target_boxes + 4 * image, source_boxes + 4 * image
    top, left = tl.load(target).to(tl.int32), tl.load(target + 1).to(tl.int32)
    bottom, right = tl.load(target + 2).to(tl.int32), tl.load(target + 3).to(tl.int32)
    down, across = tl.load(source).to(tl.int32) - top, tl.load(source + 1).to(tl.int32) - left
    pasted = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    elsewhere = (tl.load(partner + image) - image) * size + down * stride_h + across * stride_w
    place = image * size + element
    value = tl.load(images + place + tl.where(pasted, elsewhere, 0), inside)
    tl.store(mixed + place, value, inside)


@functools.cache
def works(device: torch.device) -> bool:
    """Whether the kernel pastes correctly on ``device``; logs a warning if not."""
    images = torch.arange(2 * 3 * 5 * 7, dtype=torch.float32, device=device).view(2, 3, 5, 7)
    source = torch.tensor([[0, 1, 2, 4], [0, 0, 0, 0]], device=device)
    target = torch.tensor([[3, 4, 5, 7], [0, 0, 0, 0]], device=device)
    expected = images.clone()
    expected[0, :, 3:5, 4:7] = images[1, :, 0:2, 1:4]
    partner = torch.tensor([1, 1], device=device)
    try:
        for layout in (torch.contiguous_format, torch.channels_last):
            pasted = paste(images.contiguous(memory_format=layout), partner, source, target)
            if not torch.equal(pasted, expected):
                raise RuntimeError("its result is wrong")
    except Exception as error:  # Triton raises many kinds
        logging.getLogger("smix_mm").warning(
            "the Triton kernel cannot paste on %s (%s); plain torch is used", device, error
        )
        return False
    return True


def paste(images: Tensor, partner: Tensor, source_boxes: Tensor, target_boxes: Tensor) -> Tensor:
    """:func:`smix_mm.mixing.paste` on a GPU, of images that are contiguous, channels first or last."""
    mixed = torch.empty_like(images)
    count, _, height, width = images.shape
    size = images[0].numel()
    _, _, stride_h, stride_w = images.stride()
    with torch.cuda.device_of(images):
        paste_kernel[(count, triton.cdiv(size, 2048))](
            images,
            mixed,
            partner.contiguous(),
            source_boxes.contiguous(),
            target_boxes.contiguous(),
            size,
            height,
            width,
            stride_h,
            stride_w,
            BLOCK=2048,
            num_warps=8,
        )
    return mixed
