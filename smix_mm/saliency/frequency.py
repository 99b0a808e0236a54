"""Spectral-residual saliency (Hou & Zhang 2007) and frequency-tuned saliency (Achanta et al. 2009) in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import SaliencyDetector, register
from .fine_grained.definition import grey_image

# Of SpectralResidualSaliency, in pixels: height and width at which the spectrum is taken, and standard deviation of the
# last blur; its kernel is 5x5, so it is nearly a mean.
SIDE, SIGMA = 64, 8.0

# A smaller amplitude is a rounded zero, whose phase would be noise.
NO_AMPLITUDE = 1e-6

# One grey level in one pixel changes a distance of FrequencyTunedSaliency by about 0.03, rounding by 1e-5.
NO_CONTRAST = 1e-3


@register
class SpectralResidualSaliency(SaliencyDetector):
    """Spectral residual: the log spectrum of the image less its local mean.

    The grey image is resized to 64x64 pixels. The log amplitude of its Fourier
    transform less its 3x3 mean, with the original phase, is transformed back; the amplitude of
    the result, blurred and squared, is the map. It is scaled to a maximum of 1 and resized to the
    image's size.

    Within 1e-3 of OpenCV's ``StaticSaliencySpectralResidual`` on photographs; like OpenCV it
    takes the log of the amplitude plus 1. An image that is flat at 64x64 gives zeros.

    Source: X. Hou and L. Zhang, *Saliency Detection: A Spectral Residual Approach*, CVPR 2007.
    """

    def saliency(self, images: Tensor) -> Tensor:
        if len(images) == 0:  # fft2 refuses an empty batch
            return torch.zeros((0, *images.shape[2:]), device=images.device)
        small = resize_to_side(grey_image(images))
        spectrum = torch.fft.fft2(small.to(torch.float64))
        amplitude = spectrum.abs()
        log_amplitude = amplitude.log1p()
        residual = log_amplitude - _filter(log_amplitude, torch.ones(3))
        phase = torch.where(amplitude > NO_AMPLITUDE, spectrum / amplitude.clamp(min=NO_AMPLITUDE), 1)
        back = torch.fft.ifft2(residual.exp() * phase).abs()
        maps = _filter(back, torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / (2 * SIGMA**2))) ** 2
        maps = maps / maps.amax((1, 2), keepdim=True)
        flat = small.amax((1, 2)) == small.amin((1, 2))
        maps = maps.masked_fill(flat[:, None, None], 0).to(torch.float32)
        size = (images.shape[2], images.shape[3])
        return F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def resize_to_side(grey: Tensor) -> Tensor:
    """Bilinear to 64x64 in 8-bit fixed point, as OpenCV's ``INTER_LINEAR_EXACT``; int32 (N, H, W).

    Coarser rounding would not do: where an amplitude is small, one grey level changes the phase visibly.
    """
    top, bottom, down = _taps(grey.shape[1], grey.device)
    left, right, across = _taps(grey.shape[2], grey.device)
    rows = grey[:, :, left] * (256 - across) + grey[:, :, right] * across
    down = down[:, None]
    return (rows[:, top] * (256 - down) + rows[:, bottom] * down + (1 << 15)) >> 16


def _taps(side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each resized pixel the index before it, the index after it, and the weight of the latter in 256ths."""
    place = (torch.arange(SIDE, device=device, dtype=torch.float64) + 0.5) * (side / SIDE) - 0.5
    place = place.clamp(0, side - 1)
    before = place.floor()
    weight = ((place - before) * 256).round().to(torch.int32)
    return before.long(), (before.long() + 1).clamp(max=side - 1), weight


def _filter(images: Tensor, taps: Tensor) -> Tensor:
    """Correlate (N, H, W) with the outer product of ``taps``, scaled to a sum of 1; borders reflected."""
    kernel = torch.outer(taps, taps).to(images)
    reach = len(taps) // 2
    padded = F.pad(images[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(padded, (kernel / kernel.sum())[None, None])[:, 0]


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
        # Not a convolution: on a GPU torch may round its factors to ten bits (TF32).
        padded = F.pad(lab, (2, 2, 2, 2), mode="reflect")
        blurred = _blur_across(_blur_across(padded).transpose(2, 3)).transpose(2, 3)
        distance = (blurred - mean).square().sum(1).sqrt()
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


def _blur_across(padded: Tensor) -> Tensor:
    """Binomial blur of five pixels along the rows."""
    far = padded[..., :-4] + padded[..., 4:]
    near = padded[..., 1:-3] + padded[..., 3:-1]
    return (far + 4 * near + 6 * padded[..., 2:-2]) / 16
