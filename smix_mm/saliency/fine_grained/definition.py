"""Fine-grained saliency (Montabone & Soto 2010) as in OpenCV: the definition, in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

HALF_WIDTHS = (12, 24, 48, 28, 56, 112)
"""Half-widths of the six centre-surround windows, pixels, at every image size."""

# Sums up to here are exact in float32, the dtype of OpenCV's integral image.
EXACT_SUM = 1 << 24


def fine_grained_saliency(images: Tensor) -> Tensor:
    """Maps, float32 (N, H, W) in [0, 1], of uint8 RGB images (N, 3, H, W), on any device."""
    grey = blur(blur(grey_image(images)))
    bright, dark = centre_surround(grey)
    mixed = (_scale_to_255(bright) + _scale_to_255(dark)) & 255
    # A product, not a quotient, for the same floats as OpenCV's.
    return mixed.to(torch.float32) * (1 / 255)


def grey_image(images: Tensor) -> Tensor:
    """BT.601 luma in OpenCV's 15-bit fixed point; uint8 (N, 3, H, W) to int32 (N, H, W)."""
    red, green, blue = images.to(torch.int32).unbind(1)
    return (red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15


def blur(grey: Tensor) -> Tensor:
    """3x3 binomial blur rounded to integers, borders reflected; int32 (N, H, W)."""
    # torch has no reflection padding for integers; integers this small are exact in floats.
    padded = F.pad(grey[:, None].to(torch.float32), (1, 1, 1, 1), mode="reflect")[:, 0].to(torch.int32)
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:] + 8) >> 4


def centre_surround(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over the six windows of the truncated differences, int32 (N, H, W) each.

    Args:
        grey: int32 (N, H, W) in 0..255.

    Returns:
        ``(bright, dark)``: the differences of pixels above, and below, their surround.
    """
    height, width = grey.shape[1:]
    integral = integral_image(grey)
    centre = grey.to(torch.float32)
    bright, dark = torch.zeros_like(grey), torch.zeros_like(grey)
    for half in HALF_WIDTHS:
        top, bottom = _window(height, half, grey.device)
        left, right = _window(width, half, grey.device)
        upper, lower = integral[:, top], integral[:, bottom]
        # The order of these terms is OpenCV's; it matters above EXACT_SUM.
        total = lower[:, :, right] + upper[:, :, left] - lower[:, :, left] - upper[:, :, right]
        others = (bottom - top)[:, None] * (right - left) - 1
        difference = centre - (total - centre) / others.to(torch.float32)
        bright += difference.clamp(min=0).to(torch.int32) & 255
        dark += (-difference).clamp(min=0).to(torch.int32) & 255
    return bright, dark


def integral_image(grey: Tensor) -> Tensor:
    """float32 (N, H + 1, W + 1): sums of all pixels above and left, rounded as in OpenCV."""
    rows = grey.cumsum(2, dtype=torch.int32)
    if grey.shape[1] * grey.shape[2] * 255 <= EXACT_SUM:
        sums = rows.cumsum(1, dtype=torch.int32).to(torch.float32)
    else:
        exact_rows = rows.to(torch.float32)
        sums = torch.empty_like(exact_rows)
        running = torch.zeros_like(exact_rows[:, 0])
        for y in range(grey.shape[1]):
            running = running + exact_rows[:, y]
            sums[:, y] = running
    return F.pad(sums, (1, 0, 1, 0))


def _window(side: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Start and end, exclusive, of the window around each index of one side."""
    place = torch.arange(side, device=device)
    return (place - half + 1).clamp(0, side), (place + half + 1).clamp(0, side)


def _scale_to_255(total: Tensor) -> Tensor:
    """Scale each image's sum to a maximum of 255, truncated; a sum of zeros stays zeros."""
    most = total.amax((1, 2), keepdim=True).clamp(min=1)
    # Divide in float32, then multiply in float64, as OpenCV does: both roundings affect the result.
    ratio = total.to(torch.float32) / most.to(torch.float32)
    return (ratio.to(torch.float64) * 255).to(torch.int32)
