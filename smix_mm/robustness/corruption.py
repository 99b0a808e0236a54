"""Common corruptions of images."""

from __future__ import annotations

import numpy as np
from mmpretrain.registry import TRANSFORMS

from ..utils.choices import CORRUPTIONS


@TRANSFORMS.register_module()
class CommonCorruption:
    """One of the 15 corruptions of ImageNet-C (Hendrycks & Dietterich 2019), through ``imagecorruptions``.

    The same image always gets the same noise, but for ``impulse_noise`` and ``glass_blur``, which
    draw from generators that the package cannot be told to seed.

    Args:
        name: one of :data:`CORRUPTIONS`.
        severity: 1 to 5.
        channel_order: of the image at this place; ``'bgr'`` where it was read from a file.
            Defaults to ``'bgr'``.

    Raises:
        ValueError: an argument is not as above.
    """

    def __init__(self, name: str, severity: int, channel_order: str = "bgr") -> None:
        if name not in CORRUPTIONS:
            raise ValueError(f"corruption is {name!r}; wanted one of {', '.join(CORRUPTIONS)}")
        if severity not in range(1, 6):
            raise ValueError(f"severity is {severity}; wanted 1 to 5")
        if channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel_order is {channel_order!r}; wanted 'rgb' or 'bgr'")
        self.name, self.severity, self.channel_order = name, severity, channel_order

    def __call__(self, results: dict) -> dict:
        """Corrupt ``results['img']``, uint8 (H, W, 3), at least 32x32."""
        from imagecorruptions import corrupt

        image = results["img"]
        rgb = image if self.channel_order == "rgb" else image[..., ::-1]
        before = np.random.get_state()
        np.random.seed(results.get("sample_idx", 0))
        try:
            corrupted = corrupt(np.ascontiguousarray(rgb), corruption_name=self.name, severity=self.severity)
        finally:
            np.random.set_state(before)
        results["img"] = corrupted if self.channel_order == "rgb" else np.ascontiguousarray(corrupted[..., ::-1])
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, severity={self.severity})"
