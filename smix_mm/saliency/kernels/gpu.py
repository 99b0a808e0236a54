"""Fine-grained saliency compiled for GPUs with Triton: equal to the torch definition, fused.

Four launches for all pictures of a part of the batch: grey picture and both blurs; its sums along
rows; those summed down columns, which is the integral picture; differences from the six windows,
with their maxima. A fifth writes the map over the differences, or finds the extreme without a map.
Nothing waits for the GPU.

On the way a pixel costs 1 byte (grey) + 4 (integral picture) + 4 (both sums of differences, where
the map will be); of these the first two are kept for one part alone. The bandwidth floor is 3
bytes read and 4 written a pixel: 0.027 ms for 256 pictures of 224x224 at an H100's 3.35 TB/s.
"""

from __future__ import annotations

import os

import torch
import triton
from torch import Tensor

from ..fine_grained import EXACT_SUM
from . import programs

# Larger batches go in parts, so that what is kept on the way stays small, most of it in the L2 cache.
PART_PIXELS = 1 << 23

# A program goes down its columns with ROWS rows at a time, GREY_STEPS and STEPS times. On a GPU a
# thread has one column; an interpreter's time goes by steps, whatever their size.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ROWS, GREY_STEPS, STEPS = (32, 2, 2) if INTERPRETED else (1, 32, 16)


def check(device: torch.device) -> None:
    """Compile and launch the smallest program.

    Raises:
        ValueError: ``device`` is no GPU, and Triton does not interpret.
        Exception: Triton's own, where it cannot compile for the device.
    """
    if device.type != "cuda" and not INTERPRETED:
        raise ValueError(f"device is {device}; wanted a GPU, or TRITON_INTERPRET=1 set from the start")
    numbers = torch.ones(32, dtype=torch.int32, device=device)
    with torch.cuda.device_of(numbers):
        programs.map_kernel[(1, 1)](numbers[:16], numbers[16:], 16, BLOCK=2048, num_warps=8)


def saliency(images: Tensor) -> Tensor:
    """Maps, float32 (N, H, W) in [0, 1], of GPU pictures, uint8 (N, 3, H, W) of any strides."""
    maps = torch.empty((len(images), *images.shape[2:]), dtype=torch.float32, device=images.device)
    pixels = images.shape[2] * images.shape[3]
    with torch.cuda.device_of(images):
        for part, into in _parts(images, maps):
            packed = into.view(torch.int32)
            most = _centre_surround(part, packed)
            programs.map_kernel[(len(part), triton.cdiv(pixels, 2048))](packed, most, pixels, BLOCK=2048, num_warps=8)
    return maps


def extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of GPU pictures, without maps in memory."""
    points = torch.empty((len(images), 2), dtype=torch.int64, device=images.device)
    found = torch.empty(len(images), dtype=torch.uint8, device=images.device)
    # From ordinary memory such a copy is staged before the call returns, so `pick` may go away.
    shares = found if pick is None else pick.to(images.device, torch.float64, non_blocking=True).contiguous()
    height, width = images.shape[2:]
    options = {"SALIENT": salient, "FIRST": pick is None, "BLOCK": 8192, "num_warps": 16}
    with torch.cuda.device_of(images):
        for part, share, point, exists in _parts(images, shares, points, found):
            packed = torch.empty((len(part), height, width), dtype=torch.int32, device=part.device)
            most = _centre_surround(part, packed)
            programs.extreme_kernel[(len(part),)](packed, most, share, point, exists, height * width, width, **options)
    return points, found.view(torch.bool)


def _parts(images: Tensor, *others: Tensor) -> list[tuple[Tensor, ...]]:
    """Slices along the first axis, the same of each tensor; none of no pictures."""
    if len(images) == 0:
        return []
    most = max(1, PART_PIXELS // (images.shape[2] * images.shape[3]))
    count = triton.cdiv(len(images), most)
    return list(zip(*(tensor.chunk(count) for tensor in (images, *others))))


def _centre_surround(images: Tensor, packed: Tensor) -> Tensor:
    """Fill ``packed``, int32 (N, H, W), with ``bright + (dark << 16)``; return their maxima.

    Returns:
        int32 (N, 2): the largest of bright, and of dark, of every picture.
    """
    count, _, height, width = images.shape
    grey = torch.empty((count, height, width), dtype=torch.uint8, device=images.device)
    integral = torch.empty((count, height, width), dtype=torch.float32, device=images.device)
    most = torch.zeros((count, 2), dtype=torch.int32, device=images.device)
    shape = (height, width)
    block = min(256, max(32, triton.next_power_of_2(width)))
    columns, warps = triton.cdiv(width, block), block // 32
    programs.grey_kernel[(count, columns, triton.cdiv(height, ROWS * GREY_STEPS))](
        images, grey, *shape, *images.stride(), STEPS=GREY_STEPS, ROWS=ROWS, BLOCK=block, num_warps=warps
    )
    programs.row_sums_kernel[(count, triton.cdiv(height, 8))](grey, integral, *shape, ROWS=8, BLOCK=256, num_warps=4)
    programs.column_sums_kernel[(count, triton.cdiv(width, 64))](
        integral, *shape, EXACT=height * width * 255 <= EXACT_SUM, ROWS=32, BLOCK=64, num_warps=4
    )
    programs.centre_surround_kernel[(count, columns, triton.cdiv(height, ROWS * STEPS))](
        grey, integral, packed, most, *shape, STEPS=STEPS, ROWS=ROWS, BLOCK=block, num_warps=warps
    )
    return most
