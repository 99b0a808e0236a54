"""What batch augmentations make of a batch, with the boxes, the partners and λ that they used."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

import torch
from torch import Tensor

from ..batch_augments.official import first_peaks, released_code_maps
from ..mixing import MixDraw, MixOptions, paste, plan_mix
from ..mixing.plan import choose_points, mix_numbers
from ..saliency import FineGrainedSaliency, SaliencyDetector
from ..utils.random_state import preserved_random_state
from .panels import MOST, SYMBOLS, Box


@dataclass(frozen=True)
class Mix:
    """A mixed batch and how it came about, all on the CPU.

    Attributes:
        name: of the augmentation.
        images: uint8 RGB (N, 3, H, W), before.
        mixed: uint8 RGB (N, 3, H, W), after.
        partner: int64 (N,), which image each one's patch comes from.
        source_boxes: int64 (N, 4), ``(y1, x1, y2, x2)`` half-open, in the partner.
        target_boxes: int64 (N, 4), in the image itself.
        lam: float64 (N,), the share of each label that is the image's own.
        maps: float32 (N, H, W), a map for the partner of each.
        map_name: what the map is.
        source_points: int64 (N, 2), the (y, x) that each patch was cut around; None if unknown.
        target_points: int64 (N, 2), the one it was pasted around, where that is another place.
        source_symbol, target_symbol: how these points are marked.
    """

    name: str
    images: Tensor
    mixed: Tensor
    partner: Tensor
    source_boxes: Tensor
    target_boxes: Tensor
    lam: Tensor
    maps: Tensor
    map_name: str
    source_points: Tensor | None = None
    target_points: Tensor | None = None
    source_symbol: str = MOST
    target_symbol: str = MOST

    def shown(self) -> list[int]:
        """The images that something was pasted on."""
        own = torch.arange(len(self.partner))
        return torch.nonzero((self.partner != own) & (self.lam < 1)).flatten().tolist()


def find_augment(preprocessor: Any) -> tuple[Any, float]:
    """The first of a preprocessor's batch augmentations that can be shown, and its probability.

    Returns:
        a SaliencyMix, an OfficialSaliencyMix or mmpretrain's CutMix, or None; and the share of
        the batches that it is applied to.
    """
    wrapper: Any = preprocessor.batch_augments
    for index, augment in enumerate(wrapper.augments if wrapper else ()):
        if can_be_shown(augment):
            return augment, 1 / len(wrapper.augments) if wrapper.probs is None else wrapper.probs[index]
    return None, 0.0


def can_be_shown(augment: Any) -> bool:
    """Whether :func:`mix_batch` knows how to follow the augmentation."""
    from mmpretrain.models.utils.batch_augments import CutMix, ResizeMix

    from ..batch_augments import OfficialSaliencyMix, SaliencyMix

    return isinstance(augment, (SaliencyMix, OfficialSaliencyMix, CutMix)) and not isinstance(augment, ResizeMix)


def mix_batch(augment: Any, inputs: Tensor, unnormalizer: Any, draw: MixDraw, seed: int) -> Mix:
    """Let an augmentation mix a batch, without touching any generator.

    Args:
        augment: one for which :func:`can_be_shown` holds.
        inputs: normalised floats (N, 3, H, W).
        unnormalizer: a SaliencyMix whose ``images`` makes them images again.
        draw: the random numbers of a SaliencyMix.
        seed: of the global generators, from which the others draw.
    """
    from ..batch_augments import OfficialSaliencyMix, SaliencyMix

    if isinstance(augment, SaliencyMix):
        # A copy, because on a GPU it counts the batches that it has looked at.
        return mix_images(copy.copy(augment).uint8_images(inputs), draw, augment.options, augment.detector)
    if isinstance(augment, OfficialSaliencyMix):
        return mix_as_released(augment, inputs, unnormalizer, seed)[0]
    return mix_with_cutmix(augment, inputs, unnormalizer, seed)[0]


def mix_images(images: Tensor, draw: MixDraw, options: MixOptions, detector: SaliencyDetector) -> Mix:
    """SaliencyMix of images, by the functions that training uses.

    Args:
        images: uint8 RGB (N, 3, H, W).
        draw: see :func:`~smix_mm.mixing.draw_mix`.
        options: see :class:`~smix_mm.mixing.MixOptions`.
        detector: of the maps.
    """
    plan = plan_mix(images, draw, options, detector)
    mixed = paste(images, plan.partner, plan.source_boxes, plan.target_boxes, plan.same_place)
    givers = images[plan.partner]

    height, width = images.shape[2:]
    numbers = mix_numbers(draw, height, width, options).to(images.device)
    planned = len(numbers.size)

    def points(asked: Tensor, where: str, end: int) -> Tensor:
        # With one box a batch it is the first pair's points that count.
        pick, centre = numbers.pick[:, end], numbers.centre[:, end]
        found = choose_points(asked[:planned], where, options.ties, detector, pick, centre)
        return found.expand(len(asked), 2).cpu()

    moved = options.target != "corresponding"
    return Mix(
        name="SaliencyMix",
        images=images.cpu(),
        mixed=mixed.cpu(),
        partner=plan.partner.cpu(),
        source_boxes=plan.source_boxes.cpu(),
        target_boxes=plan.target_boxes.cpu(),
        lam=plan.lam.cpu(),
        maps=detector(givers).cpu(),
        map_name="its saliency map",
        source_points=points(givers, options.source, 0),
        target_points=points(images, options.target, 1) if moved else None,
        source_symbol=SYMBOLS[options.source],
        target_symbol=SYMBOLS.get(options.target, MOST),
    )


def mix_with_cutmix(augment: Any, inputs: Tensor, unnormalizer: Any, seed: int) -> tuple[Mix, float]:
    """CutMix of a batch by mmpretrain's own class, with global seeds; and the λ that it drew.

    The maps are the true ones, to compare: CutMix does not look at any.
    """
    with _recorded(augment, "cutmix_bbox_and_lam") as calls:
        outcome = _call(augment, inputs, unnormalizer, seed)
    (_, drawn), ((y1, y2, x1, x2), _) = calls[0]
    maps = FineGrainedSaliency()(outcome["images"][outcome["partner"]])
    return Mix(
        **outcome, **_one_box((y1, x1, y2, x2), len(inputs)), maps=maps, map_name="its saliency map, not used"
    ), drawn


def mix_as_released(augment: Any, inputs: Tensor, unnormalizer: Any, seed: int) -> tuple[Mix, float]:
    """OfficialSaliencyMix of a batch, with global seeds; and the λ that it drew.

    The map is the one that it got from the first image's partner; its box serves the whole batch.
    """
    with _recorded(augment, "box") as calls:
        outcome = _call(augment, inputs, unnormalizer, seed)
    (giver, drawn), box = calls[0]
    maps = released_code_maps(giver[None])
    mix = Mix(
        **outcome,
        **_one_box(box, len(inputs)),
        maps=maps.expand(len(inputs), -1, -1),
        map_name="map the released code gets",
        source_points=first_peaks(maps).expand(len(inputs), 2),
    )
    return mix, drawn


def _call(augment: Any, inputs: Tensor, unnormalizer: Any, seed: int) -> dict[str, Any]:
    """What an augmentation's results tell: with the rows of an identity as labels, partners and λ as well."""
    samples = len(inputs)
    with preserved_random_state(seed):
        # CutMix writes into what it is given.
        mixed, weights = augment(inputs.clone(), torch.eye(samples, device=inputs.device))
    weights = weights.double().cpu()
    lam = weights.diagonal().clone()
    others = weights - torch.diag(lam)
    return dict(
        name=type(augment).__name__,
        images=unnormalizer.uint8_images(inputs).cpu(),
        mixed=unnormalizer.uint8_images(mixed).cpu(),
        partner=torch.where(others.amax(1) > 0, others.argmax(1), torch.arange(samples)),
        lam=lam,
    )


def _one_box(box: Box, samples: int) -> dict[str, Any]:
    boxes = torch.tensor([int(corner) for corner in box]).expand(samples, 4)
    return dict(source_boxes=boxes, target_boxes=boxes)


@contextmanager
def _recorded(thing: Any, method: str) -> Iterator[list[tuple[tuple[Any, ...], Any]]]:
    """Note arguments and answer of each call of a method of one object."""
    original, calls = getattr(thing, method), []

    def record(*arguments: Any) -> Any:
        answer = original(*arguments)
        calls.append((arguments, answer))
        return answer

    setattr(thing, method, record)
    try:
        yield calls
    finally:
        delattr(thing, method)
