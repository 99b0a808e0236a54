"""Constants that several packages share."""

from __future__ import annotations

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Mean of ImageNet's pixels in red, green and blue, on the scale of 0 to 255."""

IMAGENET_STD = (58.395, 57.12, 57.375)
"""Their standard deviation."""
