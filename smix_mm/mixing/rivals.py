"""Other mixes, each a pure function of a batch: ResizeMix, GuidedMixup and RecursiveMix."""

from __future__ import annotations

from numbers import Real
from typing import Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..saliency import SaliencyDetector, SpectralResidualSaliency, build_detector
from ..saliency.normalization import NormalizedImages
from ..utils.tensors import check_images
from .functional import as_scores, detector_images
from .patch import blend_targets, box_area, box_mask, in_format_of, weigh
from .plan import seeded_random

Box = Tuple[int, int, int, int]
"""``(y1, x1, y2, x2)``, half-open."""

# Of GuidedMixup's blur, in pixels.
REACH, SIGMA = 3, 3.0


def resize_mix(
    images: Tensor,
    targets: Tensor,
    *,
    num_classes: int | None = None,
    tau: tuple[float, float] = (0.1, 0.8),
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste a whole image, made smaller, at a random place of another and mix their labels by area.

    A permutation of the batch gives each image a partner. τ ~ U(0.1, 0.8), one for each image; the partner is resized
    to ``int(τ * H)`` x ``int(τ * W)`` pixels, at least one (bilinear, ``align_corners=False``, without antialiasing),
    and pasted at a uniformly random place inside the image. An image that is its own partner, as in a batch of one, is
    returned unchanged with its own label.

    Source: Qin et al., ResizeMix, arXiv 2012.11101. There is no saliency in it.

    Args:
        images: floating-point or uint8 (N, C, H, W), H and W at least 3. Their values are not checked.
        targets, num_classes, generator: as for :func:`smix_mm.saliency_mix`, as are the results.
        tau: smallest and largest τ, in 0 to 1. Defaults to the paper's (0.1, 0.8).

    Raises:
        TypeError, ValueError: an argument is not as above.
    """
    check_images(images, "N, C, H, W")
    least, most = check_tau(tau)
    scores = as_scores(targets, len(images), num_classes)
    if len(images) == 0:
        return images.clone(), scores.clone()
    samples, _, height, width = images.shape
    random = seeded_random(generator)
    partner = torch.from_numpy(random.permutation(samples))
    sides = torch.tensor([height, width])
    size = (torch.from_numpy(random.uniform(least, most, samples))[:, None] * sides).long().clamp(min=1)
    first = (torch.from_numpy(random.random((samples, 2))) * (sides - size + 1)).long()
    boxes = torch.cat((first, first + size), 1)
    boxes[partner == torch.arange(samples)] = 0
    mixed = paste_resized(images, partner.to(images.device), boxes.to(images.device))
    return mixed, blend_targets(scores, partner.to(scores.device), box_area(boxes).to(scores.device), height * width)


def paste_resized(images: Tensor, partner: Tensor, boxes: Tensor) -> Tensor:
    """Each image with its partner, resized to the box, pasted into the box; an empty box pastes nothing."""
    height, width = images.shape[2:]
    # Of an output pixel's centre the place in the partner, in grid_sample's coordinates from -1 to 1.
    y, x = (
        (2 * (torch.arange(side, device=images.device) - boxes[:, at : at + 1]) + 1).to(torch.float64)
        / (boxes[:, at + 2] - boxes[:, at]).clamp(min=1)[:, None]
        - 1
        for at, side in enumerate((height, width))
    )
    grid = torch.stack((x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)), 3)
    exact = torch.float64 if images.dtype == torch.float64 else torch.float32
    other = F.grid_sample(images[partner].to(exact), grid.to(exact), padding_mode="border", align_corners=False)
    other = (other if images.is_floating_point() else other.round()).to(images.dtype)
    return in_format_of(images, torch.where(box_mask(boxes, height, width)[:, None], other, images))


def check_tau(tau: object) -> tuple[float, float]:
    """``tau`` as two floats, or a ValueError."""
    try:
        least, most = (float(number) for number in tau)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        least, most = 1.0, 0.0
    if not 0 <= least <= most <= 1:
        raise ValueError(f"tau should be two numbers from 0 to 1, the smaller first, got {tau!r}")
    return least, most


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
    image. The cycle is found on the CPU, which waits for a GPU.

    Args:
        images: floating-point or uint8 (N, C, H, W), H and W at least 4.
        targets, uint8_images, num_classes: as for :func:`smix_mm.saliency_mix`, as are the results.
        detector: the saliency detector. Defaults to :class:`~smix_mm.saliency.SpectralResidualSaliency`.

    Raises:
        TypeError, ValueError: an argument is not as above.
    """
    check_images(images, "N, C, H, W")
    if min(images.shape[2:]) <= REACH:
        raise ValueError(f"images should have H and W of at least {REACH + 1} for the blur, got {tuple(images.shape)}")
    scores = as_scores(targets, len(images), num_classes)
    seen = detector_images(images, uint8_images)
    if len(images) < 2:
        return images.clone(), scores.clone()
    detector = SpectralResidualSaliency() if detector is None else build_detector(detector)
    maps = normalized_maps(detector.saliency(seen if isinstance(seen, Tensor) else seen.to_uint8()))
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


def recursive_mix(
    images: Tensor,
    targets: Tensor,
    previous: tuple[Tensor, Tensor] | None,
    *,
    num_classes: int | None = None,
    alpha: float = 0.5,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste the previous mixed batch, resized, into this one and mix the labels by area; without the consistency loss.

    ``mixed, scores = previous = recursive_mix(images, labels, previous, num_classes=10)``, with None first. One box
    serves the batch: its area is the share ~ U(0, alpha) of the image, its centre uniform, and it is cut off at the
    borders. Image i of the previous batch is resized to the box (nearest pixel) and pasted into image i. If the
    previous batch is smaller, the images beyond it are not mixed.

    Source: Yang et al., RecursiveMix, NeurIPS 2022 (arXiv 2203.06844), and its released code. For the consistency loss
    see :class:`smix_mm.batch_augments.recursive_mix.RecursiveMixClassifier`.

    Args:
        images: floating-point or uint8 (N, C, H, W), H and W at least 3. Their values are not checked: NaN would be
            pasted from batch to batch.
        previous: what this function returned for the previous batch; None for the first.
        alpha: the largest share of the area, above 0 and at most 1. Defaults to 0.5.
        targets, num_classes, generator: as for :func:`smix_mm.saliency_mix`, as are the results.

    Raises:
        TypeError, ValueError: an argument is not as above, or ``previous`` has other channels or classes.
    """
    check_images(images, "N, C, H, W")
    scores = as_scores(targets, len(images), num_classes)
    if previous is not None:
        pair = previous if isinstance(previous, (tuple, list)) and len(previous) == 2 else (None, None)
        shapes = [tuple(one.shape) if isinstance(one, Tensor) else () for one in pair]
        if [len(shape) for shape in shapes] != [4, 2] or shapes[0][0] != shapes[1][0]:
            raise ValueError(
                "previous should be the images (N, C, H, W) and scores (N, K) that recursive_mix returned, or None, "
                f"got {f'shapes {shapes[0]} and {shapes[1]}' if all(shapes) else type(previous).__name__}"
            )
    height, width = images.shape[2:]
    box = draw_region(height, width, check_share(alpha), generator)
    return (images.clone(), scores.clone()) if previous is None else paste_previous(images, scores, *previous, box)


def draw_region(height: int, width: int, alpha: float, generator: torch.Generator | None) -> Box:
    """The box of a batch, inside the image; its area is at most the share ``alpha``."""
    random = seeded_random(generator)
    ratio = random.uniform(0, alpha) ** 0.5
    ends = []
    for side in (height, width):
        centre, half = int(random.integers(side)), int(side * ratio) // 2
        ends.append((max(centre - half, 0), min(centre + half, side)))
    (y1, y2), (x1, x2) = ends
    return y1, x1, y2, x2


def paste_previous(
    images: Tensor, scores: Tensor, old_images: Tensor, old_scores: Tensor, box: Box
) -> tuple[Tensor, Tensor]:
    """:func:`recursive_mix` with a given box; ``scores`` are floating-point (N, K)."""
    if old_images.shape[1] != images.shape[1] or old_scores.shape[1] != scores.shape[1]:
        raise ValueError(
            f"the previous batch should have {images.shape[1]} channels and {scores.shape[1]} classes as this one, got "
            f"{old_images.shape[1]} and {old_scores.shape[1]}"
        )
    y1, x1, y2, x2 = box
    height, width = images.shape[2:]
    mixed, mixed_scores, count = images.clone(), scores.clone(), min(len(images), len(old_images))
    area = (y2 - y1) * (x2 - x1)
    if area == 0:
        return mixed, mixed_scores
    rows = torch.arange(y2 - y1, device=images.device) * old_images.shape[2] // (y2 - y1)
    columns = torch.arange(x2 - x1, device=images.device) * old_images.shape[3] // (x2 - x1)
    old = old_images[:count].to(images.device)[:, :, rows[:, None], columns]
    mixed[:count, :, y1:y2, x1:x2] = old.to(images.dtype)
    own = torch.full((count,), 1 - area / (height * width), dtype=torch.float64)
    mixed_scores[:count] = weigh(scores[:count], old_scores[:count].to(scores.device), own, 1 - own)
    return mixed, mixed_scores


def check_share(alpha: object) -> float:
    """``alpha`` as a float; a ValueError unless it is above 0 and at most 1."""
    share = float(alpha) if isinstance(alpha, Real) and not isinstance(alpha, bool) else 0.0
    if not 0 < share <= 1:
        raise ValueError(f"alpha should be a number above 0 and at most 1, got {alpha!r}")
    return share
