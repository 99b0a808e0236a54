"""The RoI head's last stage of the MoCo protocol."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_norm_layer
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ResLayerExtraNorm(ResLayer):
    """MMDetection's ``ResLayer`` with a batch norm, ``norm``, behind the stage (He et al., MoCo, CVPR 2020, A.5).

    A self-trained stage has features of any scale; the norm, which no checkpoint has, brings them to one.

    Args:
        depth: Of the ResNet, 50 or more: stages of bottlenecks.
        options: As for ``ResLayer``.
    """

    def __init__(self, depth: int, **options: Any) -> None:
        super().__init__(depth, **options)
        self.norm = build_norm_layer(self.norm_cfg, 4 * 64 * 2**self.stage)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) of the previous stage to (N, 2C, H/2, W/2)."""
        return self.norm(super().forward(x))
