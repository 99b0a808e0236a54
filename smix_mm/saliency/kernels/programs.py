"""The Triton programs that ``gpu.py`` launches, in the order in which they run.

Rounding is that of the definition in ``fine_grained.py``: whole numbers, float32 additions in its
order, divisions by ``div_rn``. No product feeds a float sum that is not a whole number below
2**24, so nothing changes where a compiler fuses the two.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..fine_grained import HALF_WIDTHS

HALVES = tl.constexpr(HALF_WIDTHS)
SCALES = tl.constexpr(len(HALF_WIDTHS))


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
def grey_kernel(
    images,
    grey,
    height,
    width,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Grey picture, blurred twice. Goes down ROWS strips side by side, the last two rows in registers.

    Blurring the mirrored picture gives the mirrored blurred picture, so both blurs can mirror at once.
    """
    picture = tl.program_id(0).to(tl.int64)
    x = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :]
    first = ((tl.program_id(2) * ROWS + tl.arange(0, ROWS)) * STEPS)[:, None]
    here = tl.minimum(x, width - 1)
    # Of the row before last and of the last one: the grey rows' sums at x - 1, x, x + 1, the blurred row's at x.
    none = tl.zeros([ROWS, BLOCK], tl.int32)
    left_2, centre_2, right_2, blurred_2 = none, none, none, none
    left_1, centre_1, right_1, blurred_1 = none, none, none, none
    for step in range(STEPS + 4):
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
        tl.store(there, twice.to(tl.uint8), (x < width) & (into < height) & (step >= 4))
        left_2, centre_2, right_2, blurred_2 = left_1, centre_1, right_1, blurred_1
        left_1, centre_1, right_1, blurred_1 = left, centre, right, blurred


@triton.jit
def row_sums_kernel(grey, sums, height, width, ROWS: tl.constexpr, BLOCK: tl.constexpr):
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
def column_sums_kernel(
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
def centre_surround_kernel(
    grey,
    integral,
    packed,
    most,
    height,
    width,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Both sums of truncated differences from the window means, packed, and their maxima."""
    picture = tl.program_id(0).to(tl.int64)
    x = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :]
    # Lanes outside repeat the last row or column, which changes no maximum.
    here = tl.minimum(x, width - 1)
    start = picture * height * width
    integral += start
    most_bright = tl.zeros([ROWS, BLOCK], tl.int32)
    most_dark = tl.zeros([ROWS, BLOCK], tl.int32)
    for step in range(STEPS):
        row = ((tl.program_id(2) * STEPS + step) * ROWS + tl.arange(0, ROWS))[:, None]
        y = tl.minimum(row, height - 1)
        centre = tl.load(grey + start + y * width + here).to(tl.float32)
        bright = tl.zeros([ROWS, BLOCK], tl.int32)
        dark = tl.zeros([ROWS, BLOCK], tl.int32)
        for scale in tl.static_range(SCALES):
            # Last row and column of the window, and the last ones before it, -1 where there is none.
            bottom, right = tl.minimum(y + HALVES[scale], height - 1), tl.minimum(here + HALVES[scale], width - 1)
            top, left = tl.maximum(y - HALVES[scale], -1), tl.maximum(here - HALVES[scale], -1)
            lower, upper = bottom * width, top * width
            lower_right = tl.load(integral + (lower + right))
            lower_left = tl.load(integral + (lower + left), left >= 0, 0.0)
            upper_right = tl.load(integral + (upper + right), top >= 0, 0.0)
            upper_left = tl.load(integral + (upper + left), (top >= 0) & (left >= 0), 0.0)
            total = lower_right + upper_left - lower_left - upper_right
            others = (bottom - top).to(tl.float32) * (right - left).to(tl.float32) - 1.0
            difference = (centre - tl.div_rn(total - centre, others)).to(tl.int32)
            bright += tl.maximum(difference, 0) & 255
            dark += tl.maximum(-difference, 0) & 255
        tl.store(packed + start + y * width + x, bright | (dark << 16), (row < height) & (x < width))
        most_bright, most_dark = tl.maximum(most_bright, bright), tl.maximum(most_dark, dark)
    tl.atomic_max(most + 2 * picture, tl.max(most_bright), sem="relaxed")
    tl.atomic_max(most + 2 * picture + 1, tl.max(most_dark), sem="relaxed")


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
def map_kernel(packed, most, pixels, BLOCK: tl.constexpr):
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
def extreme_kernel(
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
