"""What is random about a mix, drawn in one place; and the plan that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..saliency import SaliencyDetector
from .patch import box_area, patch_size, place_patches
from .scheme import Scheme, choose_points


@dataclass(frozen=True)
class MixDraw:
    """Everything random about one batch's mix, on the CPU, so that a mix can be replayed.

    The same numbers are drawn whatever the options, so two arms of a comparison that start
    from one seed share partners and λ.

    Attributes:
        partner: int64 (N,), a permutation: which picture each one gets its patch from.
        lam: float64 (N,), Beta(alpha, alpha), the share of the picture that should remain.
        uniform: float64 (N, 2, 3) in [0, 1): for source and target the tie-breaker and
            the random centre's (y, x).
    """

    partner: Tensor
    lam: Tensor
    uniform: Tensor


@dataclass(frozen=True)
class MixPlan:
    """Who gets what from whom.

    Attributes:
        partner: int64 (N,) on the pictures' device.
        source_boxes: int64 (N, 4), ``(y1, x1, y2, x2)`` half-open, in the partner.
        target_boxes: int64 (N, 4), in the picture itself.
        pasted: int64 (N,), pixels that change hands; 0 for a picture paired with itself.
        pixels: pixels of one picture.
        same_place: whether every source box is its target box by the scheme.
    """

    partner: Tensor
    source_boxes: Tensor
    target_boxes: Tensor
    pasted: Tensor
    pixels: int
    same_place: bool

    @property
    def lam(self) -> Tensor:
        """float64 (N,): the share of each picture that is its own, exact."""
        return 1 - self.pasted.to(torch.float64) / self.pixels


def draw_mix(samples: int, alpha: float, generator: torch.Generator | None = None) -> MixDraw:
    """Draw partners, λ ~ Beta(alpha, alpha) and the uniform numbers for a batch.

    Args:
        samples: pictures in the batch.
        alpha: positive; 1 makes λ uniform (the paper, section 3.2).
        generator: a CPU generator; default torch's global one.
    """
    # torch draws no Beta from a generator of one's own; numpy does, seeded from it.
    seed = int(torch.randint(0, 2**63 - 1, (1,), generator=generator))
    random = np.random.default_rng(seed)
    partner = torch.from_numpy(random.permutation(samples))
    lam = torch.from_numpy(random.beta(alpha, alpha, samples))
    return MixDraw(partner, lam, torch.from_numpy(random.random((samples, 2, 3))))


def plan_mix(
    pictures: Tensor,
    draw: MixDraw,
    scheme: Scheme,
    detector: SaliencyDetector,
    border: str = "shift",
    box_per: str = "sample",
    lam_per: str = "sample",
) -> MixPlan:
    """Turn drawn numbers and pictures into boxes.

    Args:
        pictures: uint8 RGB (N, 3, H, W), what the detector looks at.
        draw: see :func:`draw_mix`.
        scheme: where to cut and where to paste.
        detector: asked only where the scheme needs it, and with ``box_per='batch'`` only
            about the first pair.
        border: see :func:`~smix_mm.mixing.patch.place_patches`.
        box_per: ``'sample'``, or ``'batch'`` for one box (and so one λ) from the first pair.
        lam_per: ``'sample'``, or ``'batch'`` for one λ.
    """
    samples, _, height, width = pictures.shape
    device = pictures.device
    partner = draw.partner.to(device, non_blocking=True)
    planned = 1 if box_per == "batch" else samples
    lam = draw.lam[:1].expand(planned) if lam_per == "batch" else draw.lam[:planned]
    size = patch_size(lam, height, width).to(device, non_blocking=True)

    uniform = draw.uniform[:planned]
    givers = pictures[partner[:planned]]
    source = choose_points(givers, scheme.source, scheme.ties, detector, uniform[:, 0])
    target = source
    if scheme.target != "corresponding":
        takers = pictures[:planned]
        target = choose_points(takers, scheme.target, scheme.ties, detector, uniform[:, 1])
    source_boxes, target_boxes = place_patches(source, target, size, height, width, border)
    source_boxes, target_boxes = source_boxes.expand(samples, 4), target_boxes.expand(samples, 4)

    with_itself = partner == torch.arange(samples, device=device)
    empty = torch.zeros_like(source_boxes)
    source_boxes = torch.where(with_itself[:, None], empty, source_boxes)
    target_boxes = torch.where(with_itself[:, None], empty, target_boxes)
    same_place = scheme.target == "corresponding"
    return MixPlan(partner, source_boxes, target_boxes, box_area(target_boxes), height * width, same_place)
