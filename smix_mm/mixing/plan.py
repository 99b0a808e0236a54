"""The options of a mix, the random numbers that it needs, and the boxes that follow from both."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from numbers import Real

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ..saliency import SaliencyDetector
from ..saliency.normalization import NormalizedImages
from ..utils.choices import check_option
from .patch import box_area, patch_size, place_patches

SOURCES = ("salient", "non_salient", "random")
TARGETS = ("corresponding", "salient", "non_salient")
CHOICES = {
    "source": SOURCES,
    "target": TARGETS,
    "border": ("shift", "clip"),
    "box_per": ("sample", "batch"),
    "lam_per": ("sample", "batch"),
    "ties": ("first", "random"),
    "label": ("area", "saliency"),
}

# Above it the sum of the two parameters of the Beta distribution overflows, and every λ is 0.
MAX_ALPHA = 1e307


@dataclass(frozen=True)
class MixOptions:
    """The options of every SaliencyMix; the defaults are the paper's method (schemes: section 3.4).

    Attributes:
        alpha: positive; λ ~ Beta(alpha, alpha). Defaults to 1.0.
        source: where the patch is cut: around the ``'salient'`` or ``'non_salient'`` pixel of the partner, or
            around a ``'random'`` one (CutMix's centre: the control). Defaults to ``'salient'``.
        target: where it is pasted: at the ``'corresponding'`` place, or around the ``'salient'`` or
            ``'non_salient'`` pixel of the image itself. Defaults to ``'corresponding'``.
        border: ``'shift'`` moves a patch that crosses a border inside, whole (section 3.2); ``'clip'`` cuts it
            off there (the released code). Defaults to ``'shift'``.
        box_per: ``'sample'``, or ``'batch'`` for one box, and so one λ, from the first pair. Defaults to ``'sample'``.
        lam_per: ``'sample'``, or ``'batch'`` for one λ. Defaults to ``'sample'``.
        ties: which of several equal extremes: the ``'first'`` in row order, or a ``'random'`` one. Defaults to
            ``'first'``.
        label: a label's weight: the share of the ``'area'`` (the paper), or of the visible ``'saliency'`` (not in the
            paper, see :func:`~smix_mm.mixing.patch.saliency_weights`). Defaults to ``'area'``.

    Raises:
        ValueError: a value is not one of these.
    """

    alpha: float = 1.0
    source: str = "salient"
    target: str = "corresponding"
    border: str = "shift"
    box_per: str = "sample"
    lam_per: str = "sample"
    ties: str = "first"
    label: str = "area"

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_alpha(self.alpha))
        for name, values in CHOICES.items():
            check_option(name, getattr(self, name), values)


def check_alpha(alpha: object) -> float:
    """``alpha`` as a float; a ValueError unless it is a positive, finite number."""
    try:
        value = float(alpha) if isinstance(alpha, Real) and not isinstance(alpha, bool) else 0.0
    except OverflowError:  # an integer larger than any float
        value = math.inf
    if not 0 < value < MAX_ALPHA:
        raise ValueError(f"alpha should be a positive number, got {alpha!r}; 1.0 makes λ uniform")
    return value


@dataclass(frozen=True)
class MixDraw:
    """All random numbers of one batch's mix, on the CPU, so that a mix can be repeated.

    They depend on no option but alpha, so two arms of a comparison that start from one seed share partners and λ.

    Attributes:
        partner: int64 (N,), a permutation: the image that each one gets its patch from.
        lam: float64 (N,), Beta(alpha, alpha), the share of the image that should remain.
        uniform: float64 (N, 2, 3) in [0, 1): for source and target the tie-breaker and
            the random centre's (y, x).
    """

    partner: Tensor
    lam: Tensor
    uniform: Tensor


def draw_mix(samples: int, alpha: float, generator: torch.Generator | None = None) -> MixDraw:
    """Draw all random numbers for a batch of ``samples`` images.

    Args:
        samples: number of images.
        alpha: positive; λ ~ Beta(alpha, alpha), uniform for 1 (the paper, section 3.2).
        generator: a CPU generator. Defaults to torch's global one.
    """
    # torch cannot draw from a Beta distribution with a given generator; numpy can, seeded from it.
    random = seeded_random(generator)
    partner = torch.from_numpy(random.permutation(samples))
    lam = torch.from_numpy(random.beta(alpha, alpha, samples))
    return MixDraw(partner, lam, torch.from_numpy(random.random((samples, 2, 3))))


def seeded_random(generator: torch.Generator | None) -> np.random.Generator:
    """numpy's generator, seeded with one number of torch's."""
    if generator is not None and (not isinstance(generator, torch.Generator) or generator.device.type != "cpu"):
        got = generator.device if isinstance(generator, torch.Generator) else type(generator).__name__
        raise TypeError(f"generator should be a torch.Generator on the CPU, got {got}")
    return np.random.default_rng(int(torch.randint(0, 2**63 - 1, (1,), generator=generator)))


@dataclass(frozen=True)
class MixNumbers:
    """A draw in pixels of images of one size, which can be moved to the images' device.

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
        """The same numbers on another device, without waiting for a GPU."""
        return MixNumbers(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def copy_(self, other: MixNumbers) -> None:
        """Overwrite these tensors with others of the same shapes, without waiting for a GPU."""
        for field in fields(self):
            getattr(self, field.name).copy_(getattr(other, field.name), non_blocking=True)


def mix_numbers(draw: MixDraw, height: int, width: int, options: MixOptions) -> MixNumbers:
    """A draw for images of ``height`` x ``width`` pixels, on the CPU."""
    planned = 1 if options.box_per == "batch" else len(draw.lam)
    lam = draw.lam[:1].expand(planned) if options.lam_per == "batch" else draw.lam[:planned]
    sides = torch.tensor([height, width])
    # The product can round up to the side itself.
    centre = torch.minimum((draw.uniform[:planned, :, 1:] * sides).long(), sides - 1)
    return MixNumbers(draw.partner, patch_size(lam, height, width), draw.uniform[:planned, :, 0], centre)


@dataclass(frozen=True)
class MixPlan:
    """Which pixels of a batch are replaced, and by which.

    Attributes:
        partner: int64 (N,) on the images' device.
        source_boxes: int64 (N, 4), ``(y1, x1, y2, x2)`` half-open, in the partner.
        target_boxes: int64 (N, 4), in the image itself.
        pasted: int64 (N,), pixels that are replaced; 0 for an image that is its own partner.
        pixels: pixels of one image.
        same_place: whether the options make every source box equal to its target box.
    """

    partner: Tensor
    source_boxes: Tensor
    target_boxes: Tensor
    pasted: Tensor
    pixels: int
    same_place: bool

    @property
    def lam(self) -> Tensor:
        """float64 (N,): the exact share of each image that is its own."""
        # Divided by a tensor: a GPU multiplies by the rounded reciprocal of a Python number.
        pixels = torch.full((), self.pixels, dtype=torch.float64, device=self.pasted.device)
        return 1 - self.pasted.to(torch.float64) / pixels


def plan_mix(
    images: Tensor | NormalizedImages, draw: MixDraw | MixNumbers, options: MixOptions, detector: SaliencyDetector
) -> MixPlan:
    """Turn random numbers and images into boxes.

    Args:
        images: the detector's input: uint8 RGB (N, 3, H, W), or normalized where the detector reads that.
        draw: see :func:`draw_mix`; or its :func:`mix_numbers`, on the images' device.
        options: all but ``alpha`` are used.
        detector: called only where ``source`` or ``target`` needs it, and with ``box_per='batch'`` only on the
            first pair.
    """
    samples, _, height, width = images.shape
    if isinstance(draw, MixDraw):
        draw = mix_numbers(draw, height, width, options).to(images.device)
    partner, pick, centre = draw.partner, draw.pick[:, 0], draw.centre[:, 0]
    if options.box_per == "batch":
        source = choose_points(images[partner[:1]], options.source, options.ties, detector, pick, centre)
    else:
        # Instead of copying the images into their partners' order, the numbers are put into the images' order.
        own_pick, own_centre = torch.empty_like(pick), torch.empty_like(centre)
        own_pick[partner], own_centre[partner] = pick, centre
        source = choose_points(images, options.source, options.ties, detector, own_pick, own_centre)[partner]
    same_place = options.target == "corresponding"
    target = source
    if not same_place:
        receivers, pick, centre = images[: len(draw.size)], draw.pick[:, 1], draw.centre[:, 1]
        target = choose_points(receivers, options.target, options.ties, detector, pick, centre)
    source_boxes, target_boxes = place_patches(source, target, draw.size, height, width, options.border)

    with_itself = (partner == torch.arange(samples, device=partner.device))[:, None]
    source_boxes = source_boxes.expand(samples, 4).masked_fill(with_itself, 0)
    target_boxes = target_boxes.expand(samples, 4).masked_fill(with_itself, 0)
    return MixPlan(partner, source_boxes, target_boxes, box_area(target_boxes), height * width, same_place)


def choose_points(
    images: Tensor | NormalizedImages, where: str, ties: str, detector: SaliencyDetector, pick: Tensor, centre: Tensor
) -> Tensor:
    """A point in each image, int64 (N, 2) as (y, x): the extreme pixel, or ``centre`` where there is no contrast.

    Args:
        images, detector: as for :func:`plan_mix`; the detector is not called for ``'random'``.
        where: ``'salient'``, ``'non_salient'`` or ``'random'``.
        ties: see :class:`MixOptions`.
        pick, centre: of one end of the patch, (N,) and (N, 2), see :class:`MixNumbers`.
    """
    if where == "random":
        return centre
    points, found = detector.extreme(images, where == "salient", pick if ties == "random" else None)
    return torch.where(found[:, None], points, centre)


def own_generator(*stream: int) -> torch.Generator:
    """A CPU generator for an object to keep, seeded from ``torch.initial_seed()`` and the rank.

    The numbers ``stream`` separate the draws of objects with the same seed and rank.
    """
    return _seeded(torch.initial_seed(), *stream)


def call_generator() -> torch.Generator:
    """A CPU generator for one call, seeded from one number of torch's global generator, and the rank.

    A data loader seeds torch's global generator anew in each worker and epoch, so this is right
    wherever an object may be copied into workers; ranks with equal seeds still draw differently.
    """
    return _seeded(int(torch.randint(0, 2**63 - 1, (1,))))


def _seeded(number: int, *stream: int) -> torch.Generator:
    if dist.is_available() and dist.is_initialized():
        rank = dist.get_rank()
    else:  # a spawned worker is in no process group, but inherits RANK from torchrun
        variable = os.environ.get("RANK", "")
        rank = int(variable) if variable.isdecimal() else 0
    seed = np.random.SeedSequence((number, rank, *stream)).generate_state(1, np.uint64).item() >> 1
    return torch.Generator().manual_seed(seed)
