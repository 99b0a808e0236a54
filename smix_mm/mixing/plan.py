"""What is random about a mix, drawn in one place; and the plan that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from ..saliency import SaliencyDetector
from ..saliency.normalized import NormalizedImages
from .patch import box_area, patch_size, place_patches
from .scheme import Scheme, choose_points


@dataclass(frozen=True)
class MixDraw:
    """Everything random about one batch's mix, on the CPU, so that a mix can be replayed.

    The same numbers are drawn whatever the options, so two arms of a comparison that start
    from one seed share partners and λ.

    Attributes:
        partner: int64 (N,), a permutation: which image each one gets its patch from.
        lam: float64 (N,), Beta(alpha, alpha), the share of the image that should remain.
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
        partner: int64 (N,) on the images' device.
        source_boxes: int64 (N, 4), ``(y1, x1, y2, x2)`` half-open, in the partner.
        target_boxes: int64 (N, 4), in the image itself.
        pasted: int64 (N,), pixels that change hands; 0 for an image paired with itself.
        pixels: pixels of one image.
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
        """float64 (N,): the share of each image that is its own, exact."""
        # By a tensor, since by a number a GPU multiplies with its rounded reciprocal.
        pixels = torch.full((), self.pixels, dtype=torch.float64, device=self.pasted.device)
        return 1 - self.pasted.to(torch.float64) / pixels


def draw_mix(samples: int, alpha: float, generator: torch.Generator | None = None) -> MixDraw:
    """Draw partners, λ ~ Beta(alpha, alpha) and the uniform numbers for a batch.

    Args:
        samples: images in the batch.
        alpha: positive; 1 makes λ uniform (the paper, section 3.2).
        generator: a CPU generator; default torch's global one.
    """
    # torch draws no Beta from a generator of one's own; numpy does, seeded from it.
    seed = int(torch.randint(0, 2**63 - 1, (1,), generator=generator))
    random = np.random.default_rng(seed)
    partner = torch.from_numpy(random.permutation(samples))
    lam = torch.from_numpy(random.beta(alpha, alpha, samples))
    return MixDraw(partner, lam, torch.from_numpy(random.random((samples, 2, 3))))


@dataclass(frozen=True)
class MixNumbers:
    """A draw in the form that a plan needs it in: whole pixels, and on the images' device.

    P is N, or 1 with ``box_per='batch'``.

    Attributes:
        partner: int64 (N,).
        size: int64 (P, 2), the patches' height and width.
        pick: float64 (P, 2) in [0, 1), tie-breakers of source and target.
        centre: int64 (P, 2, 2), random (y, x) of source and target.
    """

    partner: Tensor
    size: Tensor
    pick: Tensor
    centre: Tensor

    def to(self, device: torch.device) -> MixNumbers:
        """The same on another device; a GPU is not waited for."""
        return MixNumbers(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def copy_(self, other: MixNumbers) -> None:
        """Overwrite these tensors with others of the same shapes; a GPU is not waited for."""
        for field in fields(self):
            getattr(self, field.name).copy_(getattr(other, field.name), non_blocking=True)


def mix_numbers(draw: MixDraw, height: int, width: int, box_per: str = "sample", lam_per: str = "sample") -> MixNumbers:
    """What a draw means for images of a size; on the CPU. Options as for :func:`plan_mix`."""
    planned = 1 if box_per == "batch" else len(draw.lam)
    lam = draw.lam[:1].expand(planned) if lam_per == "batch" else draw.lam[:planned]
    sides = torch.tensor([height, width])
    # The product can round up to the side itself.
    centre = torch.minimum((draw.uniform[:planned, :, 1:] * sides).long(), sides - 1)
    return MixNumbers(draw.partner, patch_size(lam, height, width), draw.uniform[:planned, :, 0], centre)


def plan_mix(
    images: Tensor | NormalizedImages,
    draw: MixDraw | MixNumbers,
    scheme: Scheme,
    detector: SaliencyDetector,
    border: str = "shift",
    box_per: str = "sample",
    lam_per: str = "sample",
) -> MixPlan:
    """Turn drawn numbers and images into boxes.

    Args:
        images: what the detector looks at: uint8 RGB (N, 3, H, W), or normalized where it reads that.
        draw: see :func:`draw_mix`; or the numbers that follow from it, on the images' device.
        scheme: where to cut and where to paste.
        detector: asked only where the scheme needs it, and with ``box_per='batch'`` only
            about the first pair.
        border: see :func:`~smix_mm.mixing.patch.place_patches`.
        box_per: ``'sample'``, or ``'batch'`` for one box (and so one λ) from the first pair.
        lam_per: ``'sample'``, or ``'batch'`` for one λ.
    """
    samples, _, height, width = images.shape
    if isinstance(draw, MixDraw):
        draw = mix_numbers(draw, height, width, box_per, lam_per).to(images.device)
    partner = draw.partner
    if box_per == "batch":
        pick = draw.pick[:, 0]
        source = choose_points(images[partner[:1]], scheme.source, scheme.ties, detector, pick, draw.centre[:, 0])
    else:
        source = _points_of_partners(images, draw, scheme, detector)
    target = source
    if scheme.target != "corresponding":
        takers = images[: len(draw.size)]
        target = choose_points(takers, scheme.target, scheme.ties, detector, draw.pick[:, 1], draw.centre[:, 1])
    source_boxes, target_boxes = place_patches(source, target, draw.size, height, width, border)
    source_boxes, target_boxes = source_boxes.expand(samples, 4), target_boxes.expand(samples, 4)

    with_itself = (partner == torch.arange(samples, device=partner.device))[:, None]
    source_boxes, target_boxes = source_boxes.masked_fill(with_itself, 0), target_boxes.masked_fill(with_itself, 0)
    same_place = scheme.target == "corresponding"
    return MixPlan(partner, source_boxes, target_boxes, box_area(target_boxes), height * width, same_place)


def _points_of_partners(
    images: Tensor | NormalizedImages, numbers: MixNumbers, scheme: Scheme, detector: SaliencyDetector
) -> Tensor:
    """Each partner's place to cut around; the images stay where they are, their places are permuted."""
    pick, centre = torch.empty_like(numbers.pick[:, 0]), torch.empty_like(numbers.centre[:, 0])
    pick[numbers.partner], centre[numbers.partner] = numbers.pick[:, 0], numbers.centre[:, 0]
    return choose_points(images, scheme.source, scheme.ties, detector, pick, centre)[numbers.partner]
