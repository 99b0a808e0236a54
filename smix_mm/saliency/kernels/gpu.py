"""Fine-grained saliency compiled for GPUs with Triton: equal to the torch definition, fused.

Four launches, all pictures at once: grey picture and both blurs; its sums along rows; those
summed down columns, which is the integral picture; differences from the six windows, with
their maxima. A fifth writes the map over the differences, or finds the extreme without a map.
Nothing waits for the GPU.

On the way a pixel costs 1 byte (grey) + 4 (integral picture) + 4 (both sums of differences, where
the map will be). The bandwidth floor is 3 bytes read and 4 written a pixel: 0.027 ms for 256
pictures of 224x224 at an H100's 3.35 TB/s.

Rounding is that of the definition: whole numbers, float32 additions in its order, divisions by
``div_rn``. No product feeds a float sum that is not a whole number below 2**24, so nothing
changes where a compiler fuses the two.
"""

from __future__ import annotations

import os

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..fine_grained import EXACT_SUM, HALF_WIDTHS

HALVES = tl.constexpr(HALF_WIDTHS)
SCALES = tl.constexpr(len(HALF_WIDTHS))

# Larger batches go in parts, so that what is kept on the way stays small, most of it in the L2 cache.
PART_PIXELS = 1 << 23

# Triton's interpreter takes as long for a large tile as for a small one.
TILE_ROWS = 64 if os.environ.get("TRITON_INTERPRET") == "1" else 4


def saliency(images: Tensor) -> Tensor:
    """Maps, float32 (N, H, W) in [0, 1], of GPU pictures, uint8 (N, 3, H, W) of any strides."""
    maps = torch.empty((len(images), *images.shape[2:]), dtype=torch.float32, device=images.device)
    for part, into in _parts(images, maps):
        packed = into.view(torch.int32)
        most = _centre_surround(part, packed)
        pixels = into[0].numel()
        _map_kernel[(len(part), triton.cdiv(pixels, 2048))](packed, most, pixels, BLOCK=2048, num_warps=8)
    return maps


def extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of GPU pictures, without maps in memory."""
    points = torch.empty((len(images), 2), dtype=torch.int64, device=images.device)
    found = torch.empty(len(images), dtype=torch.uint8, device=images.device)
    # From ordinary memory such a copy is staged before the call returns, so `pick` may go away.
    shares = found if pick is None else pick.to(images.device, torch.float64, non_blocking=True).contiguous()
    for part, share, point, exists in _parts(images, shares, points, found):
        height, width = part.shape[2:]
        packed = torch.empty((len(part), height, width), dtype=torch.int32, device=part.device)
        most = _centre_surround(part, packed)
        _extreme_kernel[(len(part),)](
            packed,
            most,
            share,
            point,
            exists,
            height * width,
            width,
            SALIENT=salient,
            FIRST=pick is None,
            BLOCK=4096,
            num_warps=8,
        )
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
    rows = min(32, height)
    grid = (count, triton.cdiv(width, 256), triton.cdiv(height, rows))
    _grey_kernel[grid](images, grey, *shape, *images.stride(), ROWS=rows, BLOCK=256, num_warps=4)
    grid = (count, triton.cdiv(height, 8))
    _row_sums_kernel[grid](grey, integral, *shape, ROWS=8, BLOCK=256, num_warps=4)
    exact = height * width * 255 <= EXACT_SUM
    grid = (count, triton.cdiv(width, 64))
    _column_sums_kernel[grid](integral, *shape, EXACT=exact, ROWS=32, BLOCK=64, num_warps=4)
    grid = (count, triton.cdiv(width, 256), triton.cdiv(height, TILE_ROWS))
    _centre_surround_kernel[grid](grey, integral, packed, most, *shape, ROWS=TILE_ROWS, BLOCK=256, num_warps=4)
    return most


@triton.jit
def _luma(row, x, width, stride_c, stride_w):
    """Grey values, int32, of one row of a picture at columns ``x``, mirrored at the borders."""
    mirrored = (width - 1) - tl.abs((width - 1) - tl.abs(x))
    pixel = row + mirrored * stride_w
    red = tl.load(pixel).to(tl.int32)
    green = tl.load(pixel + stride_c).to(tl.int32)
    blue = tl.load(pixel + 2 * stride_c).to(tl.int32)
    return (red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15


@triton.jit
def _grey_kernel(
    images,
    grey,
    height,
    width,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Grey picture, blurred twice. Goes down a strip, with the last two rows in registers.

    Blurring the mirrored picture gives the mirrored blurred picture, so both blurs can mirror at once.
    """
    picture = tl.program_id(0).to(tl.int64)
    x = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    first = tl.program_id(2) * ROWS
    inside = x < width
    here = tl.minimum(x, width - 1)
    # Of the row before last and of the last one: the grey rows' sums at x - 1, x, x + 1, the blurred row's at x.
    none = tl.zeros([BLOCK], tl.int32)
    left_2, centre_2, right_2, blurred_2 = none, none, none, none
    left_1, centre_1, right_1, blurred_1 = none, none, none, none
    for step in range(ROWS + 4):
        y = first - 2 + step
        # Below a strip that ends outside, rows are mirrored out of the picture; they are not stored.
        mirrored = tl.maximum((height - 1) - tl.abs((height - 1) - tl.abs(y)), 0)
        row = images + picture * stride_n + mirrored.to(tl.int64) * stride_h
        luma = _luma(row, here, width, stride_c, stride_w)
        before = _luma(row, here - 1, width, stride_c, stride_w)
        after = _luma(row, here + 1, width, stride_c, stride_w)
        left = _luma(row, here - 2, width, stride_c, stride_w) + 2 * before + luma
        centre = before + 2 * luma + after
        right = luma + 2 * after + _luma(row, here + 2, width, stride_c, stride_w)
        blurred_left = (left_2 + 2 * left_1 + left + 8) >> 4
        blurred_centre = (centre_2 + 2 * centre_1 + centre + 8) >> 4
        blurred_right = (right_2 + 2 * right_1 + right + 8) >> 4
        blurred = blurred_left + 2 * blurred_centre + blurred_right
        twice = (blurred_2 + 2 * blurred_1 + blurred + 8) >> 4
        into = y - 2
        there = grey + (picture * height + into) * width + x
        tl.store(there, twice.to(tl.uint8), inside & (step >= 4) & (into < height))
        left_2, centre_2, right_2, blurred_2 = left_1, centre_1, right_1, blurred_1
        left_1, centre_1, right_1, blurred_1 = left, centre, right, blurred


@triton.jit
def _row_sums_kernel(grey, sums, height, width, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Running sums of whole numbers along each row, then rounded to float32."""
    picture = tl.program_id(0).to(tl.int64)
    y = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    rows = ((picture * height + y) * width)[:, None]
    before = tl.zeros([ROWS], tl.int32)
    first = 0
    while first < width:
        x = (first + tl.arange(0, BLOCK))[None, :]
        inside = (y < height)[:, None] & (x < width)
        values = tl.load(grey + rows + x, inside, 0).to(tl.int32)
        running = tl.cumsum(values, 1) + before[:, None]
        tl.store(sums + rows + x, running.to(tl.float32), inside)
        before += tl.sum(values, 1)
        first += BLOCK


@triton.jit
def _column_sums_kernel(
    sums,
    height,
    width,
    EXACT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Running float32 sums down each column, in place."""
    picture = sums + tl.program_id(0).to(tl.int64) * height * width
    x = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = x < width
    above = tl.zeros([BLOCK], tl.float32)
    first = 0
    if EXACT:
        # Sums that are exact in any order are taken many rows at a time.
        while first < height:
            y = first + tl.arange(0, ROWS)[:, None]
            places = picture + y * width + x[None, :]
            within = (y < height) & inside[None, :]
            values = tl.load(places, within, 0.0)
            tl.store(places, tl.cumsum(values, 0) + above[None, :], within)
            above += tl.sum(values, 0)
            first += ROWS
    else:
        while first < height:
            places = picture + first * width + x
            above += tl.load(places, inside, 0.0)
            tl.store(places, above, inside)
            first += 1


@triton.jit
def _centre_surround_kernel(grey, integral, packed, most, height, width, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Both sums of truncated differences from the window means, packed, and their maxima."""
    picture = tl.program_id(0).to(tl.int64)
    x = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :]
    y = (tl.program_id(2) * ROWS + tl.arange(0, ROWS))[:, None]
    inside = (y < height) & (x < width)
    # Lanes outside repeat the last row or column, which changes no maximum.
    x, y = tl.minimum(x, width - 1), tl.minimum(y, height - 1)
    start = picture * height * width
    integral += start
    centre = tl.load(grey + start + y * width + x).to(tl.float32)
    bright = tl.zeros([ROWS, BLOCK], tl.int32)
    dark = tl.zeros([ROWS, BLOCK], tl.int32)
    for scale in tl.static_range(SCALES):
        # Last row and column of the window, and the last ones before it, -1 where there is none.
        bottom, right = tl.minimum(y + HALVES[scale], height - 1), tl.minimum(x + HALVES[scale], width - 1)
        top, left = tl.maximum(y - HALVES[scale], -1), tl.maximum(x - HALVES[scale], -1)
        lower_right = tl.load(integral + (bottom * width + right))
        lower_left = tl.load(integral + (bottom * width + left), left >= 0, 0.0)
        upper_right = tl.load(integral + (top * width + right), top >= 0, 0.0)
        upper_left = tl.load(integral + (top * width + left), (top >= 0) & (left >= 0), 0.0)
        total = lower_right + upper_left - lower_left - upper_right
        others = ((bottom - top) * (right - left) - 1).to(tl.float32)
        difference = (centre - tl.div_rn(total - centre, others)).to(tl.int32)
        bright += tl.maximum(difference, 0) & 255
        dark += tl.maximum(-difference, 0) & 255
    tl.store(packed + start + y * width + x, bright | (dark << 16), inside)
    tl.atomic_max(most + 2 * picture, tl.max(bright), sem="relaxed")
    tl.atomic_max(most + 2 * picture + 1, tl.max(dark), sem="relaxed")


@triton.jit
def _scale_to_255(total, most):
    # Divide in float32, then multiply in float64: both roundings show.
    ratio = tl.div_rn(total.to(tl.float32), tl.maximum(most, 1).to(tl.float32))
    return (ratio.to(tl.float64) * 255.0).to(tl.int32)


@triton.jit
def _mix(packed, most):
    """255 times the map, int32, of packed sums; ``most`` points to the picture's two maxima."""
    bright, dark = _scale_to_255(packed & 0xFFFF, tl.load(most)), _scale_to_255(packed >> 16, tl.load(most + 1))
    return (bright + dark) & 255


@triton.jit
def _map_kernel(packed, most, pixels, BLOCK: tl.constexpr):
    """The float32 map in place of the packed sums."""
    picture = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < pixels
    packed += picture * pixels
    mixed = _mix(tl.load(packed + place, inside, 0), most + 2 * picture)
    saliency_map = mixed.to(tl.float32) * (1 / 255)
    tl.store(packed + place, saliency_map.to(tl.int32, bitcast=True), inside)


@triton.jit
def _goal(packed, place, pixels, most, SALIENT: tl.constexpr):
    """What is to be largest, 0..255; -1 outside the picture."""
    inside = place < pixels
    mixed = _mix(tl.load(packed + place, inside, 0), most)
    return tl.where(inside, mixed if SALIENT else 255 - mixed, -1)


@triton.jit
def _extreme_kernel(
    packed,
    most,
    shares,
    points,
    found,
    pixels,
    width,
    SALIENT: tl.constexpr,
    FIRST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The extreme pixel of a picture; one program goes through all its pixels, thrice where ties are drawn."""
    picture = tl.program_id(0).to(tl.int64)
    packed += picture * pixels
    most += 2 * picture
    lanes = tl.arange(0, BLOCK)
    best, least, place = tl.full([BLOCK], -1, tl.int32), tl.full([BLOCK], 256, tl.int32), lanes
    first = 0
    while first < pixels:
        goal = _goal(packed, first + lanes, pixels, most, SALIENT)
        place = tl.where(goal > best, first + lanes, place)
        best = tl.maximum(best, goal)
        least = tl.minimum(least, tl.where(goal < 0, 256, goal))
        first += BLOCK
    wanted = tl.max(best, 0)
    if FIRST:
        index = tl.min(tl.where(best == wanted, place, pixels), 0)
    else:
        ties = tl.zeros([BLOCK], tl.int32)
        first = 0
        while first < pixels:
            ties += (_goal(packed, first + lanes, pixels, most, SALIENT) == wanted).to(tl.int32)
            first += BLOCK
        share = tl.load(shares + picture)
        chosen = (share * tl.sum(ties, 0).to(tl.float64)).to(tl.int32) + 1
        index = tl.zeros([], tl.int32)
        seen = tl.zeros([], tl.int32)
        first = 0
        while first < pixels:
            goal = _goal(packed, first + lanes, pixels, most, SALIENT)
            tie = (goal == wanted).to(tl.int32)
            before = (seen + tl.cumsum(tie, 0) < chosen) & (goal >= 0)
            index += tl.sum(before.to(tl.int32), 0)
            seen += tl.sum(tie, 0)
            first += BLOCK
    tl.store(points + 2 * picture, (index // width).to(tl.int64))
    tl.store(points + 2 * picture + 1, (index % width).to(tl.int64))
    tl.store(found + picture, (wanted > tl.min(least, 0)).to(tl.uint8))
