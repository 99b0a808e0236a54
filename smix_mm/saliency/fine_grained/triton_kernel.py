"""Fine-grained saliency compiled for GPUs with Triton: equal to the torch definition, in few launches.

An image of at most 64x64 pixels is one program, which reads it once and keeps the rest in registers. Larger
images take five launches for one part of the batch: the grey image, from uint8 or directly from normalized
floats; both blurs; the integral image; the differences from the six windows, with their maxima; and the
map, written over the differences, or the extreme, found without a map. Nothing waits for the GPU. Memory per pixel:
6 bytes for one part of the batch, and 4 for both sums of differences, which the map overwrites.

The programs have only been run in Triton's interpreter and compiled for sm_80 and sm_90, not measured on a GPU;
there :func:`check` compares them with the definition before their first use.
"""

from __future__ import annotations

import os
from typing import Any, Sequence, Union

import torch
import triton
from torch import Tensor

from ..base import map_extreme
from ..normalization import NormalizedImages
from . import triton_extreme_programs as extreme_programs
from . import triton_map_programs as map_programs
from .definition import EXACT_SUM, fine_grained_saliency

Images = Union[Tensor, NormalizedImages]

# Larger batches are split into parts, so that intermediate results stay small, most of them in the L2 cache.
PART_PIXELS = 1 << 23

# Sides of the largest image that is one program.
SMALL = 64

# A program goes down its columns: BLUR_ROWS or ROWS rows at a time, BLUR_STEPS or STEPS times.
BLUR_ROWS, BLUR_STEPS = 1, 32
ROWS, STEPS = 2, 8

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def check(device: torch.device) -> None:
    """Compare with the definition, on a small and on a large image.

    Triton compiles for each kind of GPU anew, and a wrong map would not be noticed anywhere else.

    Raises:
        ValueError: ``device`` is not a GPU, and Triton does not interpret.
        RuntimeError: a map or a peak differs from the definition's.
        Exception: Triton's own, where it cannot compile for the device.
    """
    if device.type != "cuda" and not INTERPRETED:
        raise ValueError(f"device should be a GPU, got {device}; or set TRITON_INTERPRET=1 from the start")
    for height, width in ((17, 19), (SMALL + 3, SMALL + 6)):
        noise = (torch.arange(3 * height * width, device=device) * 2654435761 >> 7) & 255
        images = noise.to(torch.uint8).view(1, 3, height, width)
        maps = fine_grained_saliency(images)
        # As in training: normalized, channels last.
        values = images.to(torch.float32, memory_format=torch.channels_last) / 64 - 2
        normalized = NormalizedImages(values, torch.full((3,), 128.0), torch.full((3,), 64.0))
        for given in (images, normalized):
            if not torch.equal(saliency(given), maps):
                raise RuntimeError(f"its map of {height}x{width} pixels differs from the definition's")
            for found, expected in zip(extreme(given, True, None), map_extreme(maps, True, None)):
                if not torch.equal(found, expected):
                    raise RuntimeError(f"its peak at {height}x{width} pixels differs from the definition's")


def saliency(images: Images) -> Tensor:
    """Maps, float32 (N, H, W) in [0, 1], of images on a GPU, uint8 (N, 3, H, W) of any strides, or normalized."""
    count, _, height, width = images.shape
    maps = torch.empty((count, height, width), dtype=torch.float32, device=images.device)
    if count == 0:
        return maps
    with torch.cuda.device_of(maps):
        if max(height, width) <= SMALL:
            _small(images, maps, None, None, MAP=True, SALIENT=True)
            return maps
        for part, into in _parts(images, maps):
            packed = into.view(torch.int32)
            most = _centre_surround(part, packed)
            blocks = triton.cdiv(height * width, 2048)
            map_programs.map_kernel[(len(part), blocks)](packed, most, height * width, BLOCK=2048, num_warps=8)
    return maps


def extreme(images: Images, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of images on a GPU, uint8 or normalized; without ``pick``, no maps in memory."""
    count, _, height, width = images.shape
    points = torch.empty((count, 2), dtype=torch.int64, device=images.device)
    found = torch.empty(count, dtype=torch.uint8, device=images.device)
    if count == 0:
        return points, found.view(torch.bool)
    if pick is not None:
        return map_extreme(saliency(images), salient, pick)
    pixels = height * width
    with torch.cuda.device_of(points):
        if max(height, width) <= SMALL:
            _small(images, None, points, found, MAP=False, SALIENT=salient)
            return points, found.view(torch.bool)
        for part, point, exists in _parts(images, points, found):
            packed = torch.empty((len(part), height, width), dtype=torch.int32, device=images.device)
            most = _centre_surround(part, packed)
            keys = torch.full((len(part), 2), -1, dtype=torch.int64, device=images.device)
            extreme_programs.first_extreme_kernel[(len(part), triton.cdiv(pixels, 4096))](
                packed, most, keys, pixels, SALIENT=salient, BLOCK=4096, num_warps=8
            )
            extreme_programs.first_point_kernel[(len(part),)](keys, point, exists, width, num_warps=1)
    return points, found.view(torch.bool)


def _parts(images: Images, *others: Tensor) -> list[tuple[Any, ...]]:
    """Split each argument into the same slices along the first axis."""
    count = len(images)
    most = max(1, PART_PIXELS // (images.shape[2] * images.shape[3]))
    size = triton.cdiv(count, triton.cdiv(count, most))
    return [tuple(each[first : first + size] for each in (images, *others)) for first in range(0, count, size)]


def _reading(images: Images) -> tuple[Tensor, Sequence[int], Sequence[float], bool]:
    """A program's arguments to read images: tensor from red on; strides; mean, std and scale; whether normalized."""
    if isinstance(images, Tensor):
        return images, images.stride(), (0.0,) * 6 + (1.0,), False
    order = slice(None, None, -1) if images.bgr else slice(None)
    numbers = [*images.mean.tolist()[order], *images.std.tolist()[order], 255 / images.unit]
    tensor = images.images
    stride_n, stride_c, stride_h, stride_w = tensor.stride()
    if images.bgr:
        return tensor[:, 2:], (stride_n, -stride_c, stride_h, stride_w), tuple(numbers), True
    return tensor, tensor.stride(), tuple(numbers), True


def _small(images: Images, maps: Tensor | None, *others: Tensor | None, **options: bool) -> None:
    tensor, strides, numbers, normalized = _reading(images)
    height, width = images.shape[2:]
    block_h, block_w = triton.next_power_of_2(height), triton.next_power_of_2(width)
    # A kernel takes no None; `tensor` replaces the arguments that this launch does not use.
    arguments = [tensor if each is None else each for each in (maps, *others)]
    extreme_programs.small_kernel[(len(images),)](
        tensor,
        *arguments,
        height,
        width,
        *strides,
        *numbers,
        NORMALIZED=normalized,
        BLOCK_H=block_h,
        BLOCK_W=block_w,
        **options,
        # One thread per 4 pixels; fewer threads would spill registers.
        num_warps=max(1, min(8, block_h * block_w // 128)),
        enable_fp_fusion=False,
    )


def _centre_surround(images: Images, packed: Tensor) -> Tensor:
    """Fill ``packed``, int32 (N, H, W), with ``bright + (dark << 16)``.

    Returns:
        int32 (N, 2): the maxima of bright and dark of every image.
    """
    count, _, height, width = images.shape
    pitch = triton.cdiv(width, 16) * 16
    luma = torch.empty((count, height, width), dtype=torch.uint8, device=images.device)
    grey = torch.empty((count, height, pitch), dtype=torch.uint8, device=images.device)
    sums = torch.empty((count, height + 1, pitch), dtype=torch.float32, device=images.device)
    most = torch.zeros((count, 2), dtype=torch.int32, device=images.device)

    tensor, strides, numbers, normalized = _reading(images)
    gapless = strides[2] == width * strides[3]
    rows, columns = (1, height * width) if gapless else (height, width)
    map_programs.luma_kernel[(count, triton.cdiv(columns, 1024), rows)](
        tensor, luma, rows, columns, *strides, *numbers, NORMALIZED=normalized, BLOCK=1024, enable_fp_fusion=False
    )
    block = min(256, max(32, triton.next_power_of_2(width)))
    blocks = triton.cdiv(width, block)
    map_programs.blur_kernel[(count, blocks, triton.cdiv(height, BLUR_ROWS * BLUR_STEPS))](
        luma, grey, height, width, pitch, STEPS=BLUR_STEPS, ROWS=BLUR_ROWS, BLOCK=block, num_warps=block // 32
    )
    exact = height * width * 255 <= EXACT_SUM
    if exact and pitch <= 512:
        block_w = triton.next_power_of_2(pitch)
        map_programs.integral_kernel[(count,)](
            grey, sums, height, width, pitch, ROWS=4096 // block_w, BLOCK=block_w, num_warps=8
        )
    else:
        map_programs.row_sums_kernel[(count, triton.cdiv(height, 8))](
            grey, sums, height, width, pitch, ROWS=8, BLOCK=256, num_warps=4
        )
        map_programs.column_sums_kernel[(count, triton.cdiv(pitch, 64))](sums, height, pitch, BLOCK=64, num_warps=2)
    map_programs.centre_surround_kernel[(count, blocks, triton.cdiv(height, ROWS * STEPS))](
        grey,
        sums,
        packed,
        most,
        height,
        width,
        pitch,
        WRAP=not exact,
        STEPS=STEPS,
        ROWS=ROWS,
        BLOCK=block,
        # One thread per 4 pixels.
        num_warps=max(1, block * ROWS // 128),
    )
    return most
