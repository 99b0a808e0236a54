"""Wide residual networks."""

from __future__ import annotations

from typing import Any, Mapping

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

BASE_CHANNELS = 16
STRIDES = (1, 2, 2)


class WideBlock(BaseModule):
    """Norm, ReLU, 3x3 convolution; norm, ReLU, dropout, 3x3 convolution; added to the input.

    Where the number of channels changes, the shortcut is norm, ReLU and a 1x1 convolution. ``stride`` is that of the
    first convolution and of the shortcut.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, dropout: float, norm_cfg: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(dict(norm_cfg), in_channels)[1]
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm2 = build_norm_layer(dict(norm_cfg), out_channels)[1]
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        residual = x if self.shortcut is None else self.shortcut(active)
        out = self.conv1(active)
        return residual + self.conv2(self.dropout(F.relu(self.norm2(out))))


@MODELS.register_module()
class WideResNet(BaseModule):
    """Wide residual network for images of 32x32: three stages behind a 3x3 stem.

    `Wide Residual Networks <https://arxiv.org/abs/1605.07146>`_ (Zagoruyko and Komodakis, BMVC
    2016), table 1 and section 2: blocks in the order norm, ReLU, convolution, with dropout between
    their two convolutions. WRN-28-10 is ``depth=28, widen_factor=10``, and has 36,479,194
    parameters together with a linear head for 10 classes.

    Args:
        depth: number of layers, 6 n + 4.
        widen_factor: the stages have 16, 32 and 64 times this number of channels.
        dropout: probability of a value between a block's convolutions to be dropped. Defaults to 0.
        in_channels: channels of the images. Defaults to 3.
        norm_cfg: config of the norm layers. Defaults to batch norm.
        init_cfg: config of the initialization. Defaults to normal weights of variance 2 / fan-out, as in the
            paper's code.

    Raises:
        ValueError: ``depth`` is not as above.
    """

    def __init__(
        self,
        depth: int,
        widen_factor: int,
        dropout: float = 0.0,
        in_channels: int = 3,
        norm_cfg: Mapping[str, Any] = {"type": "BN"},
        init_cfg: Any = (
            {"type": "Kaiming", "layer": "Conv2d", "mode": "fan_out", "nonlinearity": "relu"},
            {"type": "Constant", "layer": "_BatchNorm", "val": 1},
        ),
    ) -> None:
        super().__init__(list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth should be 6 n + 4, such as 28, got {depth}")
        self.conv1 = nn.Conv2d(in_channels, BASE_CHANNELS, 3, padding=1, bias=False)
        channels = BASE_CHANNELS
        for stage, stride in enumerate(STRIDES):
            out_channels = BASE_CHANNELS * widen_factor * 2**stage
            blocks = [WideBlock(channels, out_channels, stride, dropout, norm_cfg)]
            while len(blocks) < (depth - 4) // 6:
                blocks.append(WideBlock(out_channels, out_channels, 1, dropout, norm_cfg))
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = out_channels
        self.norm = build_norm_layer(dict(norm_cfg), channels)[1]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute the features of an image.

        Args:
            x: floating-point (N, in_channels, H, W).

        Returns:
            one tensor (N, 64 · widen_factor, H / 4, W / 4), after the final norm and ReLU.
        """
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return (F.relu(self.norm(x)),)
