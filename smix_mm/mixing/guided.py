"""GuidedMixup: two images mixed pixel by pixel in the ratio of their saliency."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..saliency import SaliencyDetector, SpectralResidualSaliency, build_detector
from ..saliency.normalization import NormalizedImages
from ..utils.tensors import check_images
from .functional import as_scores, detector_images
from .patch import in_format_of, weigh

# Of the blur, in pixels.
REACH, SIGMA = 3, 3.0


def guided_mixup(
    images: Tensor,
    targets: Tensor,
    *,
    uint8_images: Tensor | NormalizedImages | None = None,
    num_classes: int | None = None,
    detector: SaliencyDetector | None = None,
) -> tuple[Tensor, Tensor]:
    """Mix each pixel of two images in the ratio of their saliency there, and their labels in the mean ratio.

    The saliency map is blurred (7x7, σ = 3) and divided by its sum. Partners form one cycle through the batch: it
    begins with the two maps that are farthest from each other (L2) and goes on from each image to the farthest one
    that is not yet in it. A pixel is ``r * own + (1 - r) * partner's`` with ``r = s_own / (s_own + s_partner)``; the
    label's weight is the mean of r over the image. Nothing is random. A map of zeros counts as constant; r is 1/2
    where both maps are zero. A batch of one is returned unchanged.

    Source: Kang and Kim, GuidedMixup, AAAI 2023 (arXiv 2306.16612), the variant with spectral residual ("Guided-SR").
    Its released code has its own detector on the *normalized* image, at most 128 pixels wide, which blurs the map as
    well, so that it is blurred twice, and does not square it; here the detectors are this package's, of the uint8
    image.

    Args:
        images: floating-point or uint8 (N, C, H, W), H and W at least 4.
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        uint8_images: as for :func:`smix_mm.saliency_mix`.
        num_classes: K, for class numbers.
        detector: the saliency detector. Defaults to :class:`~smix_mm.saliency.SpectralResidualSaliency`.

    Returns:
        ``(mixed_images, mixed_targets)``, both new, as for :func:`smix_mm.saliency_mix`.

    Raises:
        TypeError, ValueError: an argument is not as above.

    .. note::
        The cycle is found on the CPU, which waits for a GPU.
    """
    check_images(images, "N, C, H, W")
    if min(images.shape[2:]) <= REACH:
        raise ValueError(f"images should have H and W of at least {REACH + 1} for the blur, got {tuple(images.shape)}")
    scores = as_scores(targets, len(images), num_classes)
    bytes_ = detector_images(images, uint8_images)
    if len(images) < 2:
        return images.clone(), scores.clone()
    detector = SpectralResidualSaliency() if detector is None else build_detector(detector)
    maps = normalized_maps(detector.saliency(bytes_ if isinstance(bytes_, Tensor) else bytes_.to_uint8()))
    partner = farthest_cycle(maps)
    both = maps + maps[partner]
    ratio = torch.where(both > 0, maps / both, 0.5)
    exact = torch.float64 if images.dtype == torch.float64 else torch.float32
    pixels, share = images.to(exact), ratio.to(exact)[:, None]
    mixed = share * pixels + (1 - share) * pixels[partner]
    mixed = (mixed if images.is_floating_point() else mixed.round()).to(images.dtype)
    own, partner = ratio.mean((1, 2)), partner.to(scores.device)
    return in_format_of(images, mixed), weigh(scores, scores[partner], own, 1 - own)


def normalized_maps(maps: Tensor) -> Tensor:
    """Maps (N, H, W), blurred with borders reflected, and divided by their sum; zeros become constant."""
    taps = torch.exp(-(torch.arange(-REACH, REACH + 1.0, device=maps.device) ** 2) / (2 * SIGMA**2))
    taps = (taps / taps.sum()).to(maps)
    padded = F.pad(maps[:, None], (REACH,) * 4, mode="reflect")
    blurred = F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]
    total = blurred.sum((1, 2), keepdim=True)
    height, width = maps.shape[1:]
    return torch.where(total > 0, blurred / total, 1 / (height * width))


def farthest_cycle(maps: Tensor) -> Tensor:
    """The partner of each of the maps (N, H, W), N at least 2: int64 (N,) on their device, one cycle through all.

    The released code's search for ``--condition greedy``; of equal distances the first.
    """
    # In float64, because squared distances come from a difference of products.
    flat = maps.flatten(1).to(torch.float64)
    products = flat @ flat.T
    squares = products.diagonal()
    distances = (squares[:, None] + squares[None] - 2 * products).cpu().numpy()
    np.fill_diagonal(distances, -np.inf)
    partner = np.empty(len(maps), np.int64)
    first, current = np.unravel_index(distances.argmax(), distances.shape)
    partner[first] = current
    distances[:, first] = -np.inf
    for _ in range(len(maps) - 2):
        following = distances[current].argmax()
        partner[current] = following
        distances[:, current] = -np.inf
        current = following
    partner[current] = first
    return torch.from_numpy(partner).to(maps.device)
