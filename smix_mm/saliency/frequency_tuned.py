"""Frequency-tuned saliency (Achanta et al. 2009) in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import SaliencyDetector, register

# One grey level in one pixel changes a distance by about 0.03, rounding by 1e-5.
NO_CONTRAST = 1e-3


@register
class FrequencyTunedSaliency(SaliencyDetector):
    """Frequency-tuned saliency: the distance of a pixel's colour from the image's mean colour.

    The distance is Euclidean in CIELAB (sRGB, D65), between the image under a 5x5 binomial
    blur, borders reflected, and the mean of the unblurred image. Each map is scaled so that
    its minimum is 0 and its maximum 1; a flat image gives zeros.

    Source: R. Achanta, S. Hemami, F. Estrada and S. Süsstrunk, *Frequency-tuned Salient Region
    Detection*, CVPR 2009, equation 4.
    """

    def saliency(self, images: Tensor) -> Tensor:
        lab = cielab(images)
        mean = lab.mean((2, 3), keepdim=True)
        distance = (binomial_blur(lab) - mean).square().sum(1).sqrt()
        least, most = distance.amin((1, 2), keepdim=True), distance.amax((1, 2), keepdim=True)
        contrast = most - least
        scaled = (distance - least) / contrast.clamp(min=NO_CONTRAST)
        return scaled.masked_fill(contrast < NO_CONTRAST, 0)


def cielab(images: Tensor) -> Tensor:
    """uint8 sRGB (N, 3, H, W) to float32 CIELAB, same shape; white point D65, 2 degrees."""
    encoded = torch.arange(256, device=images.device) / 255
    linear = torch.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
    red, green, blue = linear.index_select(0, images.flatten().int()).view(images.shape).unbind(1)
    x = _lightness((0.412453 * red + 0.357580 * green + 0.180423 * blue) / 0.95047)
    y = _lightness(0.212671 * red + 0.715160 * green + 0.072169 * blue)
    z = _lightness((0.019334 * red + 0.119193 * green + 0.950227 * blue) / 1.08883)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def _lightness(share: Tensor) -> Tensor:
    """The cube root of CIELAB, linear for the darkest colours."""
    return torch.where(share > 0.008856, share.clamp(min=0.008856) ** (1 / 3), 7.787 * share + 16 / 116)


def binomial_blur(images: Tensor) -> Tensor:
    """5x5 binomial blur of float (N, C, H, W), borders reflected without repeating the edge."""
    # Not a convolution: on a GPU torch may round its factors to ten bits (TF32).
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    return _blur_across(_blur_across(padded).transpose(2, 3)).transpose(2, 3)


def _blur_across(padded: Tensor) -> Tensor:
    far = padded[..., :-4] + padded[..., 4:]
    near = padded[..., 1:-3] + padded[..., 3:-1]
    return (far + 4 * near + 6 * padded[..., 2:-2]) / 16
