"""SaliencyMix as one pure function of a batch."""

from __future__ import annotations

import math
from numbers import Integral, Real

import torch
from torch import Tensor

from ..saliency import FineGrainedSaliency, SaliencyDetector, build_detector
from ..saliency.base import check_uint8_images
from ..saliency.normalized import NormalizedImages
from ..utils.choices import check_option
from .patch import BORDERS, blend_targets, paste
from .plan import MixDraw, MixNumbers, draw_mix, plan_mix
from .scheme import Scheme

PER = ("sample", "batch")

# Beyond, the sum of both parameters overflows where λ is drawn, and λ comes out as 0.
MOST_ALPHA = 1e307


def saliency_mix(
    images: Tensor,
    targets: Tensor,
    *,
    uint8_images: Tensor | NormalizedImages | None = None,
    num_classes: int | None = None,
    detector: SaliencyDetector | None = None,
    alpha: float = 1.0,
    source: str = "salient",
    target: str = "corresponding",
    border: str = "shift",
    box_per: str = "sample",
    lam_per: str = "sample",
    ties: str = "first",
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste the most salient patch of one image on another and mix their labels by area.

    Each image gets a partner by a permutation of the batch. λ ~ Beta(alpha, alpha); the patch
    has the sides ``int(H * sqrt(1 - λ))`` and ``int(W * sqrt(1 - λ))`` and lies around the
    partner's most salient pixel, kept inside the image. It is pasted at the same place, and
    the label is the area-weighted mean of both. An image without any contrast has no salient
    pixel: its patch lies around a random one. An image that is its own partner, as in a batch
    of one, comes out unchanged with its own label.

    Source: Uddin et al., SaliencyMix, ICLR 2021 (arXiv 2006.01791), section 3.

    Args:
        images: floating or uint8 (N, C, H, W), H and W at least 3.
        targets: scores (N, K), or class numbers (N,) together with ``num_classes``.
        images: uint8 RGB (N, 3, H, W), what the detector looks at (or ``NormalizedImages``, for a
            detector that reads them). Left out, it is ``images``
            where those are uint8 or floats in [0, 1]; that range is checked, for which a GPU
            has to be waited for.
        num_classes: K, for class numbers.
        detector: default :class:`~smix_mm.saliency.FineGrainedSaliency`.
        alpha: positive; λ ~ Beta(alpha, alpha).
        source: cut around the partner's ``'salient'`` or ``'non_salient'`` pixel, or a
            ``'random'`` one (CutMix's centre: the control).
        target: paste at the ``'corresponding'`` place, or around the image's own
            ``'salient'`` or ``'non_salient'`` pixel.
        border: ``'shift'`` keeps the patch whole inside the image (the paper), ``'clip'``
            cuts it at the borders (the released code).
        box_per: ``'sample'``, or ``'batch'``: one box and one λ, from the first pair.
        lam_per: ``'sample'``, or ``'batch'``: one λ.
        ties: of equal extremes the ``'first'`` in row order, or a ``'random'`` one.
        generator: a CPU generator; default torch's global one.

    Returns:
        ``(mixed_images, mixed_targets)``, both new. Images of the dtype, device and memory
        format of ``images``; targets floating (N, K), each weight the pasted pixels over all.

    Raises:
        TypeError: a tensor of another dtype, or something that is no tensor.
        ValueError: a shape, an option, alpha, a class number or a pixel value is not as above.
    """
    check_images(images)
    alpha = check_alpha(alpha)
    check_option("border", border, BORDERS)
    check_option("box_per", box_per, PER)
    check_option("lam_per", lam_per, PER)
    scheme = Scheme(source, target, ties)
    scores = as_scores(targets, len(images), num_classes)
    if uint8_images is None:
        uint8_images = as_images(images)
    else:
        if not isinstance(uint8_images, NormalizedImages):
            check_uint8_images(uint8_images, "images")
        if uint8_images.shape[0] != images.shape[0] or uint8_images.shape[2:] != images.shape[2:]:
            raise ValueError(
                f"images has shape {tuple(images.shape)}; wanted as many and as large as images, {tuple(images.shape)}"
            )
    if len(images) == 0:
        return images.clone(), scores.clone()
    if detector is None:
        detector = FineGrainedSaliency()
    draw = draw_mix(len(images), alpha, generator)
    options = dict(border=border, box_per=box_per, lam_per=lam_per)
    return apply_mix(images, scores, uint8_images, draw, scheme, build_detector(detector), **options)


def apply_mix(
    images: Tensor,
    scores: Tensor,
    uint8_images: Tensor | NormalizedImages,
    draw: MixDraw | MixNumbers,
    scheme: Scheme,
    detector: SaliencyDetector,
    **options: str,
) -> tuple[Tensor, Tensor]:
    """:func:`saliency_mix` after its checks and its draw; with numbers on the images' device nothing is copied there.

    Args:
        images, scores, images: as there; scores floating (N, K), on the images' device or the CPU.
        draw, scheme, detector, options: see :func:`~smix_mm.mixing.plan_mix`.
    """
    plan = plan_mix(uint8_images, draw, scheme, detector, **options)
    mixed = paste(images, plan.partner, plan.source_boxes, plan.target_boxes, plan.same_place)
    return mixed, blend_targets(scores, plan.partner.to(scores.device), plan.pasted.to(scores.device), plan.pixels)


def check_images(images: Tensor) -> None:
    """Raise unless ``images`` is a floating or uint8 tensor (N, C, H, W)."""
    if not isinstance(images, Tensor) or not (images.is_floating_point() or images.dtype == torch.uint8):
        given = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images is {given}; wanted a floating or uint8 tensor (N, C, H, W)")
    if images.dim() != 4 or min(images.shape[2:]) < 3:
        raise ValueError(f"images has shape {tuple(images.shape)}; wanted (N, C, H, W) with H and W at least 3")


def check_alpha(alpha: object) -> float:
    """``alpha`` as a float; a ValueError unless it is a positive, finite number."""
    try:
        value = float(alpha) if isinstance(alpha, Real) and not isinstance(alpha, bool) else 0.0
    except OverflowError:  # a whole number larger than any float
        value = math.inf
    if not 0 < value < MOST_ALPHA:
        raise ValueError(f"alpha is {alpha!r}; wanted a positive number, such as 1.0 for a uniform λ")
    return value


def as_scores(targets: Tensor, samples: int, num_classes: int | None) -> Tensor:
    """Floating scores (N, K) from scores (N, K), or from class numbers (N,) and ``num_classes``."""
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets is {type(targets).__name__}; wanted a tensor of scores (N, K)")
    if targets.is_complex():
        raise TypeError(f"targets is {targets.dtype}; wanted real scores (N, K), or class numbers (N,)")
    if targets.dim() == 1 and num_classes is not None:
        if targets.is_floating_point() or targets.dtype == torch.bool:
            raise TypeError(f"targets (N,) is {targets.dtype}; wanted whole class numbers")
        if not isinstance(num_classes, Integral):
            raise TypeError(f"num_classes is {num_classes!r}; wanted a whole number")
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; wanted at least 1")
        targets = targets.to(torch.int64)  # torch finds no extremes of the unsigned kinds but bytes
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < num_classes:
            raise ValueError(
                f"targets holds class numbers {int(targets.min())} to {int(targets.max())}; "
                f"wanted 0 to {num_classes - 1}, by num_classes={num_classes}"
            )
        targets = targets[:, None] == torch.arange(num_classes, device=targets.device)
    elif targets.dim() != 2:
        raise ValueError(
            f"targets has shape {tuple(targets.shape)}; wanted scores (N, K), one-hot or soft; "
            "for class numbers (N,) give num_classes as well"
        )
    if len(targets) != samples:
        raise ValueError(f"targets has {len(targets)} rows; wanted one for each of the {samples} images")
    if targets.shape[1] == 0:
        raise ValueError("targets has no columns; wanted scores (N, K) with K at least 1")
    return targets if targets.is_floating_point() else targets.to(torch.float32)


def as_images(images: Tensor) -> Tensor:
    """uint8 images from uint8 images, or from floats in [0, 1]."""
    if images.shape[1] != 3:
        raise ValueError(
            f"images has {images.shape[1]} channels, and saliency needs RGB; give images, uint8 (N, 3, H, W)"
        )
    if images.dtype == torch.uint8:
        return images
    values = images.to(torch.float32)
    if len(images) and not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError(
            "images are floats outside 0 to 1, so they cannot be looked at as they are; "
            "give images, the uint8 RGB before normalisation"
        )
    return (values * 255).round().to(torch.uint8)
