"""The Triton programs that find extremes of large images, and the one that does everything for a small image.

They have only been run in Triton's interpreter, not measured on a GPU. As in ``triton_map_programs``, every
name that a loop carries starts from its own value.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .triton_map_programs import HALVES, SCALES, _luma, _mirrored, _mix, _scale_to_255

FIRST_PLACE = tl.constexpr(0x7FFFFFFF)


@triton.jit
def first_extreme_kernel(packed, most, keys, pixels, SALIENT: tl.constexpr, BLOCK: tl.constexpr):
    """Per image the largest key ``goal * 2**32 + 2**31 - 1 - place``, and the largest of ``255 - goal``."""
    image = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < pixels
    mixed = _mix(tl.load(packed + image * pixels + place, inside, 0), most + 2 * image)
    # 255 times the map, or its opposite, so that the extreme is the largest value; -1 outside the image.
    goal = tl.where(inside, mixed if SALIENT else 255 - mixed, -1)
    key = (goal.to(tl.int64) << 32) | (place ^ FIRST_PLACE).to(tl.int64)
    opposite = tl.where(inside, 255 - goal, -1).to(tl.int64)
    tl.atomic_max(keys + 2 * image, tl.max(tl.where(inside, key, -1)), sem="relaxed")
    tl.atomic_max(keys + 2 * image + 1, tl.max(opposite), sem="relaxed")


@triton.jit
def first_point_kernel(keys, points, found, width):
    """Per image the point in its key, and whether the image has any contrast."""
    image = tl.program_id(0).to(tl.int64)
    key = tl.load(keys + 2 * image)
    index = (key & FIRST_PLACE).to(tl.int32) ^ FIRST_PLACE
    tl.store(points + 2 * image, (index // width).to(tl.int64))
    tl.store(points + 2 * image + 1, (index % width).to(tl.int64))
    tl.store(found + image, ((key >> 32) + tl.load(keys + 2 * image + 1) > 255).to(tl.uint8))


@triton.jit
def _blur_tile(grey, up, down, left, right):
    """A blurred image, int32, in registers; ``up`` to ``right`` are the indices of each pixel's neighbours."""
    rows = tl.gather(grey, up, 0) + 2 * grey + tl.gather(grey, down, 0)
    return (tl.gather(rows, left, 1) + 2 * rows + tl.gather(rows, right, 1) + 8) >> 4


@triton.jit
def small_kernel(
    images,
    maps,
    points,
    found,
    height,
    width,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    mean_r,
    mean_g,
    mean_b,
    std_r,
    std_g,
    std_b,
    scale,
    NORMALIZED: tl.constexpr,
    MAP: tl.constexpr,
    SALIENT: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_W: tl.constexpr,
):
    """The map, or the extreme pixel, of one small image in one program."""
    image = tl.program_id(0).to(tl.int64)
    y = tl.arange(0, BLOCK_H)[:, None]
    x = tl.arange(0, BLOCK_W)[None, :]
    inside = (y < height) & (x < width)
    pixel = images + image * stride_n + y * stride_h + x * stride_w
    grey = _luma(pixel, inside, stride_c, mean_r, mean_g, mean_b, std_r, std_g, std_b, scale, NORMALIZED)
    full = tl.zeros([BLOCK_H, BLOCK_W], tl.int32)
    up, down = tl.abs(y - 1) + full, tl.maximum(_mirrored(y + 1, height), 0) + full
    left, right = tl.abs(x - 1) + full, tl.maximum(_mirrored(x + 1, width), 0) + full
    grey = _blur_tile(grey, up, down, left, right)
    grey = tl.where(inside, _blur_tile(grey, up, down, left, right), 0)
    integral = tl.cumsum(tl.cumsum(grey, 1), 0)
    centre = grey.to(tl.float32)
    bright, dark = tl.zeros([BLOCK_H, BLOCK_W], tl.int32), tl.zeros([BLOCK_H, BLOCK_W], tl.int32)
    for scale_index in tl.static_range(SCALES):
        half = HALVES[scale_index]
        # Last row and column of the window, and the last ones before it, -1 where these are outside the image.
        bottom, top = tl.minimum(y + half, height - 1), tl.maximum(y - half, -1)
        last, before = tl.minimum(x + half, width - 1), tl.maximum(x - half, -1)
        # Outside the image the indices only have to be inside the tile.
        lower = tl.gather(integral, tl.maximum(bottom, 0) + full, 0)
        upper = tl.where(top >= 0, tl.gather(integral, tl.minimum(tl.maximum(top, 0), height - 1) + full, 0), 0)
        rows = lower - upper
        to_last = tl.gather(rows, tl.maximum(last, 0) + full, 1)
        to_first = tl.where(before >= 0, tl.gather(rows, tl.minimum(tl.maximum(before, 0), width - 1) + full, 1), 0)
        others = tl.maximum((bottom - top) * (last - before) - 1, 1).to(tl.float32)
        # Sums this small are exact in float32 in any order.
        difference = (centre - tl.div_rn((to_last - to_first - grey).to(tl.float32), others)).to(tl.int32)
        bright += tl.maximum(difference, 0) & 255
        dark += tl.maximum(-difference, 0) & 255
    most_bright = tl.max(tl.max(tl.where(inside, bright, 0), 1), 0)
    most_dark = tl.max(tl.max(tl.where(inside, dark, 0), 1), 0)
    mixed = (_scale_to_255(bright, most_bright) + _scale_to_255(dark, most_dark)) & 255
    place = y * width + x
    if MAP:
        tl.store(maps + image * height * width + place, mixed.to(tl.float32) * (1 / 255), inside)
    else:
        goal = tl.where(inside, mixed if SALIENT else 255 - mixed, -1)
        extreme = tl.max(tl.max(goal, 1), 0)
        index = tl.min(tl.min(tl.where(goal == extreme, place, height * width), 1), 0)
        opposite = tl.max(tl.max(tl.where(inside, 255 - goal, -1), 1), 0)
        tl.store(points + 2 * image, (index // width).to(tl.int64))
        tl.store(points + 2 * image + 1, (index % width).to(tl.int64))
        tl.store(found + image, (extreme + opposite > 255).to(tl.uint8))
