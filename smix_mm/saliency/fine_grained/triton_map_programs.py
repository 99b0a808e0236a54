"""The Triton programs that compute the map of large images, in the order in which ``triton_kernel`` launches them.

They have only been run in Triton's interpreter, not measured on a GPU.

The result equals that of ``definition`` to the last bit. Sums are integers in float32, added in the
definition's order. :func:`_difference` replaces its divisions.

Every name that a loop carries starts from its own value: Triton treats a name that is assigned its initial
value as a constant, and mistakes two names with one initial value for that.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .definition import HALF_WIDTHS

HALVES = tl.constexpr(HALF_WIDTHS)
SCALES = tl.constexpr(len(HALF_WIDTHS))
# Adding and subtracting 1.5 * 2**23 rounds a float32 below 2**22 to an integer, halves to the even one.
ROUND = tl.constexpr(12582912.0)


@triton.jit
def _byte(value, mean, std, scale, NORMALIZED: tl.constexpr):
    """A colour of a pixel, int32 0..255, from uint8, or as ``NormalizedImages.to_uint8`` rounds it."""
    if NORMALIZED:
        value = (value.to(tl.float32) * std + mean) * scale
        value = tl.minimum(tl.maximum((value + ROUND) - ROUND, 0.0), 255.0)
    return value.to(tl.int32)


@triton.jit
def _luma(pixel, inside, stride_c, mean_r, mean_g, mean_b, std_r, std_g, std_b, scale, NORMALIZED: tl.constexpr):
    """Grey values, int32, of the pixels whose red is at ``pixel``; 0 outside."""
    red = _byte(tl.load(pixel, inside, 0), mean_r, std_r, scale, NORMALIZED)
    green = _byte(tl.load(pixel + stride_c, inside, 0), mean_g, std_g, scale, NORMALIZED)
    blue = _byte(tl.load(pixel + 2 * stride_c, inside, 0), mean_b, std_b, scale, NORMALIZED)
    return tl.where(inside, (red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15, 0)


@triton.jit
def luma_kernel(
    images,
    luma,
    rows,
    columns,
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
    BLOCK: tl.constexpr,
):
    """The grey image, uint8. An image whose rows follow each other without a gap is given as one row."""
    image = tl.program_id(0).to(tl.int64)
    x = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    y = tl.program_id(2).to(tl.int64)
    inside = x < columns
    pixel = images + image * stride_n + y * stride_h + x * stride_w
    grey = _luma(pixel, inside, stride_c, mean_r, mean_g, mean_b, std_r, std_g, std_b, scale, NORMALIZED)
    tl.store(luma + (image * rows + y) * columns + x, grey.to(tl.uint8), inside)


@triton.jit
def _mirrored(place, side):
    """Indices, reflected into 0..side-1 from one or two steps outside."""
    return (side - 1) - tl.abs((side - 1) - tl.abs(place))


@triton.jit
def blur_kernel(luma, grey, height, width, pitch, STEPS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """The grey image blurred twice. Goes down ROWS strips at once, with the last two rows of each in registers.

    Blurring the mirrored image gives the mirrored blurred image, so the image is mirrored once for both blurs.
    """
    image = tl.program_id(0).to(tl.int64)
    x = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :]
    first = ((tl.program_id(2) * ROWS + tl.arange(0, ROWS)) * STEPS)[:, None]
    here = tl.minimum(x, width - 1)
    # Of the row before last and of the last one: the grey rows' sums at x - 1, x, x + 1, the blurred row's at x.
    left_2 = tl.zeros([ROWS, BLOCK], tl.int32)
    centre_2 = tl.zeros([ROWS, BLOCK], tl.int32)
    right_2 = tl.zeros([ROWS, BLOCK], tl.int32)
    blurred_2 = tl.zeros([ROWS, BLOCK], tl.int32)
    left_1 = tl.zeros([ROWS, BLOCK], tl.int32)
    centre_1 = tl.zeros([ROWS, BLOCK], tl.int32)
    right_1 = tl.zeros([ROWS, BLOCK], tl.int32)
    blurred_1 = tl.zeros([ROWS, BLOCK], tl.int32)
    for step in range(STEPS + 4):
        y = first - 2 + step
        # Below a strip that ends outside, rows are mirrored out of the image; they are not stored.
        row = luma + (image * height + tl.maximum(_mirrored(y, height), 0)) * width
        before_2 = tl.load(row + _mirrored(here - 2, width)).to(tl.int32)
        before = tl.load(row + _mirrored(here - 1, width)).to(tl.int32)
        same = tl.load(row + here).to(tl.int32)
        after = tl.load(row + _mirrored(here + 1, width)).to(tl.int32)
        after_2 = tl.load(row + _mirrored(here + 2, width)).to(tl.int32)
        left = before_2 + 2 * before + same
        centre = before + 2 * same + after
        right = same + 2 * after + after_2
        blurred_left = (left_2 + 2 * left_1 + left + 8) >> 4
        blurred_centre = (centre_2 + 2 * centre_1 + centre + 8) >> 4
        blurred_right = (right_2 + 2 * right_1 + right + 8) >> 4
        blurred = blurred_left + 2 * blurred_centre + blurred_right
        twice = (blurred_2 + 2 * blurred_1 + blurred + 8) >> 4
        into = y - 2
        there = grey + (image * height + into) * pitch + x
        tl.store(there, twice.to(tl.uint8), (x < width) & (into < height) & (step >= 4))
        left_2, centre_2, right_2, blurred_2 = left_1, centre_1, right_1, blurred_1
        left_1, centre_1, right_1, blurred_1 = left, centre, right, blurred


@triton.jit
def integral_kernel(grey, sums, height, width, pitch, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """The integral image, where its sums are exact in any order and a block is as wide as the image.

    ``sums`` has a row of zeros above the image; to the right of it the last column is repeated up to ``pitch``.
    """
    image = tl.program_id(0).to(tl.int64)
    grey += image * height * pitch
    sums += image * (height + 1) * pitch
    x = tl.arange(0, BLOCK)
    tl.store(sums + x, tl.zeros([BLOCK], tl.float32), x < pitch)
    above = tl.zeros([BLOCK], tl.int32)
    first = 0
    while first < height:
        y = first + tl.arange(0, ROWS)
        places = y[:, None] * pitch + x[None, :]
        inside = (y < height)[:, None]
        values = tl.load(grey + places, inside & (x < width)[None, :], 0).to(tl.int32)
        running = tl.cumsum(tl.cumsum(values, 1), 0) + above[None, :]
        tl.store(sums + pitch + places, running.to(tl.float32), inside & (x < pitch)[None, :])
        above += tl.cumsum(tl.sum(values, 0), 0)
        first += ROWS


@triton.jit
def row_sums_kernel(grey, sums, height, width, pitch, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Running sums of integers along each row, then rounded to float32; up to ``pitch``."""
    image = tl.program_id(0).to(tl.int64)
    y = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    read = ((image * height + y) * pitch)[:, None]
    write = ((image * (height + 1) + y + 1) * pitch)[:, None]
    before = tl.zeros([ROWS], tl.int32)
    first = 0
    while first < pitch:
        x = (first + tl.arange(0, BLOCK))[None, :]
        inside = (y < height)[:, None]
        values = tl.load(grey + read + x, inside & (x < width), 0).to(tl.int32)
        running = tl.cumsum(values, 1) + before[:, None]
        tl.store(sums + write + x, running.to(tl.float32), inside & (x < pitch))
        before += tl.sum(values, 1)
        first += BLOCK


@triton.jit
def column_sums_kernel(sums, height, pitch, BLOCK: tl.constexpr):
    """Running float32 sums down each column, in place, in the order in which OpenCV rounds them."""
    sums += tl.program_id(0).to(tl.int64) * (height + 1) * pitch
    x = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = x < pitch
    above = tl.zeros([BLOCK], tl.float32)
    tl.store(sums + x, above, inside)
    row = 1
    while row <= height:
        places = sums + row * pitch + x
        above += tl.load(places, inside, 0.0)
        tl.store(places, above, inside)
        row += 1


@triton.jit
def _difference(centre, total, area, inverse, WRAP: tl.constexpr):
    """The difference of a pixel and the mean of the others in its window, truncated.

    The definition's float32 ``centre - (total - centre) / (area - 1)``, truncated, is the truncated
    quotient of two integers, ``(centre * area - total) / (area - 1)``: no window has more than
    224 * 224 pixels, so a quotient that is not an integer is at least 1/50175 away from every integer,
    and the definition's two roundings change it by less. Numerator and divisor are exact in float32.
    ``inverse * inverse + inverse`` is the reciprocal of ``area - 1`` with a relative error of about
    ``inverse ** 2``; for windows of 23 pixels and more it gives the quotient within a half, and the
    remainder decides between the two integers beside it.

    Args:
        centre, total, area: float32 integers: the pixel, the sum of its window, and the window's number of pixels.
        inverse: float32, ``1 / area`` in any rounding.
        WRAP: whether rounded sums may make a difference reach 256, where OpenCV's bytes wrap around.

    Returns:
        float32, the difference and its absolute value.
    """
    numerator = centre * area - total
    size = tl.abs(numerator)
    quotient = (size * (inverse * inverse + inverse) + ROUND) - ROUND
    quotient = tl.where(size < quotient * (area - 1.0), quotient - 1.0, quotient)
    if WRAP:
        quotient = (quotient.to(tl.int32) & 255).to(tl.float32)
    return tl.where(numerator < 0, -quotient, quotient), quotient


@triton.jit
def centre_surround_kernel(
    grey,
    sums,
    packed,
    most,
    height,
    width,
    pitch,
    WRAP: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Both sums of truncated differences from the window means, packed, and their maxima.

    Half-widths and ``pitch`` are multiples of 4, so a thread reads 4 neighbours of a window's corner at once.
    """
    image = tl.program_id(0).to(tl.int64)
    x = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :]
    column = x < width
    grey += image * height * pitch
    sums += image * (height + 1) * pitch
    packed += image * height * width
    most_bright = tl.zeros([ROWS, BLOCK], tl.int32)
    most_dark = tl.zeros([ROWS, BLOCK], tl.int32)
    for step in range(STEPS):
        row = ((tl.program_id(2) * STEPS + step) * ROWS + tl.arange(0, ROWS))[:, None]
        # Lanes below the image repeat its last row, which changes no maximum.
        y = tl.minimum(row, height - 1)
        centre = tl.load(grey + y * pitch + x, x < pitch, 0).to(tl.float32)
        # Sums of the differences, and of their absolute values.
        balance = tl.zeros([ROWS, BLOCK], tl.float32)
        both = tl.zeros([ROWS, BLOCK], tl.float32)
        for scale in tl.static_range(SCALES):
            half = HALVES[scale]
            top, bottom = tl.maximum(y - half + 1, 0), tl.minimum(y + half + 1, height)
            rows = (bottom - top).to(tl.float32)
            # At least 1 because of the lanes to the right of the image, whose results are not used.
            columns = tl.maximum(tl.minimum(x + half + 1, width) - tl.maximum(x - half + 1, 0), 1).to(tl.float32)
            # `sums` counts the column itself, so a window's left neighbour is x - half and its last column x + half.
            upper, lower = sums + top * pitch, sums + bottom * pitch
            has_left, has_right = (x >= half) & (x < pitch), x + half < pitch
            upper_left = tl.load(upper + (x - half), has_left, 0.0)
            lower_left = tl.load(lower + (x - half), has_left, 0.0)
            upper_right = tl.load(upper + (x + half), has_right, tl.load(upper + (pitch - 1)))
            lower_right = tl.load(lower + (x + half), has_right, tl.load(lower + (pitch - 1)))
            # The order of these terms is OpenCV's; beyond 2**24 it matters.
            total = lower_right + upper_left - lower_left - upper_right
            difference, size = _difference(centre, total, rows * columns, (1.0 / rows) * (1.0 / columns), WRAP)
            balance += difference
            both += size
        bright = ((both + balance) * 0.5).to(tl.int32)
        dark = ((both - balance) * 0.5).to(tl.int32)
        tl.store(packed + y * width + x, bright | (dark << 16), (row < height) & column)
        most_bright = tl.maximum(most_bright, tl.where(column, bright, 0))
        most_dark = tl.maximum(most_dark, tl.where(column, dark, 0))
    tl.atomic_max(most + 2 * image, tl.max(most_bright), sem="relaxed")
    tl.atomic_max(most + 2 * image + 1, tl.max(most_dark), sem="relaxed")


@triton.jit
def _scale_to_255(total, most):
    # Divide in float32, then multiply in float64: both roundings show.
    ratio = tl.div_rn(total.to(tl.float32), tl.maximum(most, 1).to(tl.float32))
    return (ratio.to(tl.float64) * 255.0).to(tl.int32)


@triton.jit
def _mix(packed, most):
    """255 times the map, int32, of packed sums; ``most`` points to the image's two maxima."""
    bright, dark = _scale_to_255(packed & 0xFFFF, tl.load(most)), _scale_to_255(packed >> 16, tl.load(most + 1))
    return (bright + dark) & 255


@triton.jit
def map_kernel(packed, most, pixels, BLOCK: tl.constexpr):
    """The float32 map in place of the packed sums."""
    image = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < pixels
    packed += image * pixels
    mixed = _mix(tl.load(packed + place, inside, 0), most + 2 * image)
    saliency_map = mixed.to(tl.float32) * (1 / 255)
    tl.store(packed + place, saliency_map.to(tl.int32, bitcast=True), inside)
