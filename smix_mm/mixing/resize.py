"""ResizeMix: a whole image, resized, pasted at a random place of another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..utils.tensors import check_images
from .functional import as_scores
from .patch import blend_targets, box_area, box_mask, in_format_of
from .plan import seeded_random


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
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        num_classes: K, for class numbers.
        tau: smallest and largest τ, in 0 to 1. Defaults to the paper's (0.1, 0.8).
        generator: a CPU generator. Defaults to torch's global one.

    Returns:
        ``(mixed_images, mixed_targets)``, both new, as for :func:`smix_mm.saliency_mix`.

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
    """Each image with its partner, resized to the box, pasted into the box.

    Args:
        images: floating-point or uint8 (N, C, H, W); not changed.
        partner: int64 (N,).
        boxes: int64 (N, 4), half-open; an empty one pastes nothing.
    """
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
