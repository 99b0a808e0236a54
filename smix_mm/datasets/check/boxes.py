"""What makes a box one that can be trained on."""

from __future__ import annotations

from typing import Sequence


def usable_box(box: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box ``(x1, y1, x2, y2)``, counted from 0, has an area inside an image of ``(width, height)``."""
    x1, y1, x2, y2 = box
    return max(x1, 0) < min(x2, size[0]) and max(y1, 0) < min(y2, size[1])
