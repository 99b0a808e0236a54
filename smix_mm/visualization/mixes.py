"""Mixed batches together with the partners, boxes, points and λ that a batch augmentation used."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from ..batch_augments import OfficialSaliencyMix, SaliencyMix
from ..batch_augments.official import released_code_maps
from ..mixing import MixDraw, MixOptions, paste, plan_mix
from ..mixing.patch import saliency_weights
from ..mixing.plan import choose_points, mix_numbers
from ..saliency import FineGrainedSaliency, SaliencyDetector
from ..saliency.base import GivenSaliency, map_extreme
from ..utils.random_state import preserved_random_state
from .sheet import MOST, SOURCE, SYMBOLS, TARGET, Panel, to_image, to_mark


@dataclass(frozen=True)
class Mix:
    """A mixed batch and how it was made; all tensors are on the CPU.

    ``images`` and ``mixed``, before and after, are uint8 RGB (N, 3, H, W); boxes ``(y1, x1, y2, x2)``, half-open, are
    int64 (N, 4), and points ``(y, x)`` int64 (N, 2).

    Attributes:
        name: class name of the augmentation.
        partner: int64 (N,), index of the image that each patch was cut from.
        source_boxes, target_boxes: what was cut from the partner, and what was pasted over in the image itself.
        lam: float64 (N,), the weight of the image's own label, in [0, 1].
        maps: float32 (N, H, W) in [0, 1], the saliency map from which each patch was cut.
        map_caption: a caption for the maps, at most two lines.
        drawn_lam: the λ drawn for the whole batch, before the box was rounded and clipped; NaN if every image has its
            own.
        source_points, target_points: what each patch was cut and pasted around; None if unknown or the same place.
        source_symbol, target_symbol: the symbols that mark these points.
    """

    name: str
    images: Tensor
    mixed: Tensor
    partner: Tensor
    source_boxes: Tensor
    target_boxes: Tensor
    lam: Tensor
    maps: Tensor
    map_caption: str
    drawn_lam: float = math.nan
    source_points: Tensor | None = None
    target_points: Tensor | None = None
    source_symbol: str = MOST
    target_symbol: str = MOST

    def changed(self) -> list[int]:
        """Indices of the images that a patch of another image was pasted onto."""
        own = torch.arange(len(self.partner))
        return torch.nonzero((self.partner != own) & (self.lam < 1)).flatten().tolist()

    def pair(self, index: int) -> tuple[Panel, Panel]:
        """The partner of an image with the box that was cut, and the image with the box that is pasted over."""
        panels = []
        for image, boxes, colour, points, symbol in (
            (int(self.partner[index]), self.source_boxes, SOURCE, self.source_points, self.source_symbol),
            (index, self.target_boxes, TARGET, self.target_points, self.target_symbol),
        ):
            marks = () if points is None else (to_mark(points[index], symbol),)
            panels.append(Panel("", to_image(self.images[image]), tuple(boxes[index].tolist()), colour, marks))
        return panels[0], panels[1]


def find_augment(preprocessor: Any) -> tuple[Any, float]:
    """The first batch augmentation that can be shown, or None, and the share of batches that it is applied to."""
    wrapper: Any = preprocessor.batch_augments
    for index, augment in enumerate(wrapper.augments if wrapper else ()):
        if can_be_shown(augment):
            return augment, 1 / len(wrapper.augments) if wrapper.probs is None else wrapper.probs[index]
    return None, 0.0


def can_be_shown(augment: Any) -> bool:
    """Whether :func:`mix_batch` supports the augmentation."""
    from mmpretrain.models.utils.batch_augments import CutMix, ResizeMix

    return isinstance(augment, (SaliencyMix, OfficialSaliencyMix, CutMix)) and not isinstance(augment, ResizeMix)


def mix_batch(
    augment: Any, inputs: Tensor, unnormalizer: SaliencyMix, draw: MixDraw, seed: int, maps: Tensor | None = None
) -> Mix:
    """Mix a batch with an augmentation; the state of every random generator stays the same.

    Args:
        augment: an augmentation for which :func:`can_be_shown` holds.
        inputs: normalized floats (N, 3, H, W).
        unnormalizer: a SaliencyMix whose ``uint8_images`` undoes the normalization.
        draw: the random numbers of a SaliencyMix; other augmentations ignore it.
        seed: the seed of the global generators, from which the other augmentations draw.
        maps: float32 (N, H, W), for a SaliencyMix: the maps of the images before a crop, in place of the detector's.
    """
    if not isinstance(augment, SaliencyMix):
        return _mix_with_global_generators(augment, inputs, unnormalizer, seed)
    # A copy, because on a GPU it counts the batches that it has checked.
    images = copy.copy(augment.unnormalize)(inputs)
    return mix_images(images, *detector_input(images, augment.detector, maps), draw, augment.options)


def detector_input(images: Tensor, detector: SaliencyDetector, maps: Tensor | None) -> tuple[Any, SaliencyDetector]:
    """What the detector is called with, and the detector: given maps take the place of both."""
    return (images, detector) if maps is None else (maps[:, None], GivenSaliency())


def mix_images(images: Tensor, seen: Any, detector: SaliencyDetector, draw: MixDraw, options: MixOptions) -> Mix:
    """SaliencyMix of uint8 RGB images, made by the functions that training uses; see :func:`detector_input`."""
    plan = plan_mix(seen, draw, options, detector)
    mixed = paste(images, plan.partner, plan.source_boxes, plan.target_boxes, plan.same_place)
    sources = seen[plan.partner]
    lam = plan.lam
    if options.label == "saliency":
        lam = saliency_weights(detector.saliency(seen), plan.partner, plan.source_boxes, plan.target_boxes)
    height, width = images.shape[2:]
    numbers = mix_numbers(draw, height, width, options).to(images.device)

    def points(searched: Any, where: str, end: int) -> Tensor:
        # With one box per batch, only the first pair's points count.
        searched = searched[: len(numbers.size)]
        found = choose_points(searched, where, options.ties, detector, numbers.pick[:, end], numbers.centre[:, end])
        return found.expand(len(images), 2).cpu()

    return Mix(
        name="SaliencyMix",
        images=images.cpu(),
        mixed=mixed.cpu(),
        partner=plan.partner.cpu(),
        source_boxes=plan.source_boxes.cpu(),
        target_boxes=plan.target_boxes.cpu(),
        lam=lam.cpu(),
        maps=detector.saliency(sources).clamp(min=0).cpu(),
        map_caption="saliency map\nof the source",
        source_points=points(sources, options.source, 0),
        target_points=None if options.target == "corresponding" else points(seen, options.target, 1),
        source_symbol=SYMBOLS[options.source],
        target_symbol=SYMBOLS.get(options.target, MOST),
    )


def _mix_with_global_generators(augment: Any, inputs: Tensor, unnormalizer: SaliencyMix, seed: int) -> Mix:
    """Mix with an OfficialSaliencyMix or a CutMix, which draw from numpy's and torch's global generators."""
    samples = len(inputs)
    official = isinstance(augment, OfficialSaliencyMix)
    method = "box" if official else "cutmix_bbox_and_lam"
    original, calls = getattr(augment, method), []

    def record(*arguments: Any) -> Any:
        calls.append((arguments, original(*arguments)))
        return calls[-1][1]

    with mock.patch.object(augment, method, record), preserved_random_state(seed):
        # With an identity matrix as labels, the mixed labels show the partners and λ. CutMix changes its inputs.
        mixed, weights = augment(inputs.clone(), torch.eye(samples, device=inputs.device))
    (source, drawn_lam), result = calls[0]
    weights = weights.double().cpu()
    lam = weights.diagonal().clone()
    others = weights - torch.diag(lam)
    partner = torch.where(others.amax(1) > 0, others.argmax(1), torch.arange(samples))
    images = unnormalizer.uint8_images(inputs).cpu()
    points = None
    if official:
        y1, x1, y2, x2 = result
        maps = released_code_maps(source[None])
        points = map_extreme(maps, True, None)[0].expand(samples, 2)
        maps, caption = maps.expand(samples, -1, -1), "released code's map,\none per batch"
    else:
        (y1, y2, x1, x2), _ = result
        maps, caption = FineGrainedSaliency()(images[partner]), "saliency map,\nnot used by CutMix"
    boxes = torch.tensor([int(corner) for corner in (y1, x1, y2, x2)]).expand(samples, 4)
    return Mix(
        name=type(augment).__name__,
        images=images,
        mixed=unnormalizer.uint8_images(mixed).cpu(),
        partner=partner,
        source_boxes=boxes,
        target_boxes=boxes,
        lam=lam,
        maps=maps,
        map_caption=caption,
        drawn_lam=drawn_lam,
        source_points=points,
    )
