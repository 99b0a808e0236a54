"""Fine-grained saliency compiled for the CPU with numba: equal to the torch definition, but faster.

All loops run along rows of contiguous float32, so that the compiler turns them into vector
instructions. Grey values and window sizes are integers below 2**24, which are exact in float32; the two
divisions are those of the definition, with the same rounding.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import numba
import numpy as np
import torch
from torch import Tensor

from .definition import HALF_WIDTHS

MARGIN = max(HALF_WIDTHS)
"""Columns added on each side of the integral image, so that no window has to be clipped."""

# The least number of pixels for which another thread is worthwhile, about 0.1 ms of work.
PIXELS_PER_THREAD = 1 << 15

f32 = np.float32
# numpy's error model: Python's tests every divisor for zero, which prevents vector instructions.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
inner = numba.njit(**OPTIONS)


def saliency(images: Tensor) -> Tensor:
    """Maps, float32 (N, H, W) in [0, 1], of CPU images, uint8 (N, 3, H, W) of any strides."""
    maps = torch.empty((len(images), *images.shape[2:]), dtype=torch.float32)
    _over_images(_maps, images.numpy(), maps.numpy())
    return maps


def extreme(images: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of CPU images, without float maps in memory."""
    points = torch.empty((len(images), 2), dtype=torch.int64)
    found = torch.empty(len(images), dtype=torch.bool)
    # A share of 0 picks the first of equal extremes.
    shares = np.zeros(len(images)) if pick is None else pick.to("cpu", torch.float64).contiguous().numpy()
    sought = np.full(len(images), salient)
    _over_images(_extremes, images.numpy(), sought, shares, points.numpy(), found.numpy())
    return points, found


def _over_images(kernel: Callable[..., None], *arrays: np.ndarray) -> None:
    """Call ``kernel(*arrays)`` in slices along the first axis, one slice a thread."""
    count, _, height, width = arrays[0].shape
    worthwhile = count * height * width // PIXELS_PER_THREAD
    threads = max(1, min(torch.get_num_threads(), count, worthwhile))
    shares = [slice(count * index // threads, count * (index + 1) // threads) for index in range(threads)]
    helpers = _helpers(torch.get_num_threads(), os.getpid())
    waiting = [helpers.submit(kernel, *(array[share] for array in arrays)) for share in shares[1:]]
    kernel(*(array[shares[0]] for array in arrays))
    for future in waiting:
        future.result()


@functools.lru_cache(maxsize=1)
def _helpers(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads beside the caller's; new ones for each ``process``, because a fork inherits no threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="smix_mm")


def _compiled(signature: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: compile now, and cache the machine code on disk if it is writable."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        try:
            return numba.njit(signature, cache=True, **OPTIONS)(function)
        except (RuntimeError, OSError):
            return numba.njit(signature, **OPTIONS)(function)

    return decorate


@inner
def _grey_image(image, grey):
    height, width = grey.shape
    for y in range(height):
        red, green, blue = image[0, y], image[1, y], image[2, y]
        for x in range(width):
            luma = f32(red[x]) * f32(9798) + f32(green[x]) * f32(19235) + f32(blue[x]) * f32(3735)
            grey[y, x] = np.floor((luma + f32(1 << 14)) * f32(1 / (1 << 15)))


@inner
def _blur(source, blurred, padded):
    height, width = source.shape
    for y in range(height):
        above, here, below = source[abs(y - 1)], source[y], source[y + 1 if y + 1 < height else height - 2]
        for x in range(width):
            padded[x + 1] = above[x] + f32(2) * here[x] + below[x]
        padded[0], padded[width + 1] = padded[2], padded[width - 1]
        for x in range(width):
            total = padded[x] + f32(2) * padded[x + 1] + padded[x + 2]
            blurred[y, x] = np.floor((total + f32(8)) * f32(1 / 16))


@inner
def _integral_image(grey, integral, row):
    """``integral[y, MARGIN + x]``: the sum of the pixels above row y, up to and including column x."""
    height, width = grey.shape
    integral[0] = 0
    for y in range(height):
        # An integer's running sum takes one cycle a step, a float's several.
        total = np.int64(0)
        for x in range(width):
            total += np.int64(grey[y, x])
            row[x] = total
        integral[y + 1, :MARGIN] = 0
        above, here = integral[y, MARGIN : MARGIN + width], integral[y + 1, MARGIN : MARGIN + width]
        for x in range(width):
            here[x] = above[x] + row[x]
        integral[y + 1, MARGIN + width :] = here[width - 1]


@inner
def _centre_surround(grey, integral, widths, bright, dark):
    """Fill the two sums, int16; return the maximum of each."""
    height, width = grey.shape
    bright_row, dark_row = np.empty(width, np.int32), np.empty(width, np.int32)
    most_bright, most_dark = 0, 0
    for y in range(height):
        bright_row[:], dark_row[:] = 0, 0
        for scale, half in enumerate(HALF_WIDTHS):
            top, bottom = max(y - half + 1, 0), min(y + half + 1, height)
            left, right = MARGIN - half, MARGIN + half
            upper_left, upper_right = integral[top, left : left + width], integral[top, right : right + width]
            lower_left, lower_right = (
                integral[bottom, left : left + width],
                integral[bottom, right : right + width],
            )
            rows = f32(bottom - top)
            for x in range(width):
                centre = grey[y, x]
                total = lower_right[x] + upper_left[x] - lower_left[x] - upper_right[x]
                others = rows * widths[scale, x] - f32(1)
                difference = np.int32(centre - (total - centre) / others)
                bright_row[x] += max(difference, np.int32(0)) & 255
                dark_row[x] += max(-difference, np.int32(0)) & 255
        for x in range(width):
            bright[y, x], dark[y, x] = bright_row[x], dark_row[x]
            most_bright, most_dark = max(most_bright, bright_row[x]), max(most_dark, dark_row[x])
    return most_bright, most_dark


@inner
def _mix(bright, dark, most_bright, most_dark, mixed):
    """Both sums scaled to 255 and added; storing the sum in a byte wraps it around at 256."""
    by_bright, by_dark = f32(max(most_bright, 1)), f32(max(most_dark, 1))
    height, width = mixed.shape
    for y in range(height):
        for x in range(width):
            bright_part = np.int32(np.float64(f32(bright[y, x]) / by_bright) * 255.0)
            dark_part = np.int32(np.float64(f32(dark[y, x]) / by_dark) * 255.0)
            mixed[y, x] = bright_part + dark_part


@inner
def _scratch(height, width):
    """Memory for the intermediate results of an image, allocated once for all images of a thread."""
    widths = np.empty((len(HALF_WIDTHS), width), np.float32)
    for scale, half in enumerate(HALF_WIDTHS):
        for x in range(width):
            widths[scale, x] = min(x + half + 1, width) - max(x - half + 1, 0)
    return (
        np.empty((height, width), np.float32),
        np.empty((height, width), np.float32),
        np.empty((height + 1, width + 2 * MARGIN), np.float32),
        np.empty(width + 2, np.float32),
        widths,
        np.empty((height, width), np.int16),
        np.empty((height, width), np.int16),
        np.empty((height, width), np.uint8),
    )


@inner
def _byte_map(image, scratch):
    """255 times the map, uint8 (H, W), in the scratch memory."""
    grey, blurred, integral, row, widths, bright, dark, mixed = scratch
    _grey_image(image, grey)
    _blur(grey, blurred, row)
    _blur(blurred, grey, row)
    _integral_image(grey, integral, row)
    most_bright, most_dark = _centre_surround(grey, integral, widths, bright, dark)
    _mix(bright, dark, most_bright, most_dark, mixed)
    return mixed


@_compiled("void(uint8[:,:,:,:], float32[:,:,::1])")
def _maps(images, maps):
    count, _, height, width = images.shape
    scratch = _scratch(height, width)
    for index in range(count):
        mixed = _byte_map(images[index], scratch)
        for y in range(height):
            for x in range(width):
                maps[index, y, x] = f32(mixed[y, x]) * f32(1 / 255)


@_compiled("void(uint8[:,:,:,:], boolean[::1], float64[::1], int64[:,::1], boolean[::1])")
def _extremes(images, salient, shares, points, found):
    count, _, height, width = images.shape
    scratch = _scratch(height, width)
    for index in range(count):
        flat = _byte_map(images[index], scratch).ravel()
        least, most = flat.min(), flat.max()
        extreme = most if salient[index] else least
        ties = 0
        for value in flat:
            ties += value == extreme
        to_skip = int(shares[index] * ties)
        place = 0
        while flat[place] != extreme or to_skip > 0:
            to_skip -= flat[place] == extreme
            place += 1
        points[index, 0], points[index, 1] = place // width, place % width
        found[index] = most > least
