"""From mixed batches to what a sheet or a page shows of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Sequence

import torch
from torch import Tensor

from ..mixing import MixDraw, MixOptions
from ..mixing.plan import SOURCES, TARGETS
from ..saliency import SaliencyDetector
from .mixes import Mix, mix_as_released, mix_images, mix_with_cutmix
from .panels import LEAST, MOST, TARGET, Example, Mark, Panel, mixed_label, short_name, to_box, to_image, to_mark


def mix_examples(mix: Mix, labels: Sequence[str]) -> list[Example]:
    """One row each: source, its map with point and box, target, result. Images left unmixed are left out."""
    return [_mix_example(mix, labels, index) for index in mix.shown()]


def _mix_example(mix: Mix, labels: Sequence[str], index: int) -> Example:
    partner, lam = int(mix.partner[index]), float(mix.lam[index])
    panels = (
        replace(_source(mix, index), caption=f"source:\n{short_name(labels[partner])}"),
        replace(_source(mix, index), caption=f"{mix.map_name}\n ", image=mix.maps[index].numpy()),
        replace(_target(mix, index), caption=f"target:\n{short_name(labels[index])}"),
        Panel(mixed_label(lam, labels[index], labels[partner]), to_image(mix.mixed[index])),
    )
    return Example(f"{mix.name}, λ = {lam:.2f}", panels)


def _source(mix: Mix, index: int) -> Panel:
    marks = () if mix.source_points is None else (to_mark(mix.source_points[index], mix.source_symbol),)
    box = to_box(mix.source_boxes[index])
    return Panel("", to_image(mix.images[int(mix.partner[index])]), box, marks=marks)


def _target(mix: Mix, index: int) -> Panel:
    marks = () if mix.target_points is None else (to_mark(mix.target_points[index], mix.target_symbol),)
    return Panel("", to_image(mix.images[index]), to_box(mix.target_boxes[index]), TARGET, marks)


def scheme_example(
    images: Tensor, labels: Sequence[str], draw: MixDraw, detector: SaliencyDetector, ties: str = "first"
) -> Example:
    """Every source with every target on one pair, with the same λ.

    Args:
        images: uint8 RGB (2, 3, H, W): the target, then the source.
        labels: their names.
        draw: for two images that are each other's partner.
        detector: of the maps.
        ties: see :class:`~smix_mm.mixing.MixOptions`.
    """
    maps = detector(images.flip(0)).cpu()
    extremes = {
        MOST: detector.extreme(images.flip(0), True, None)[0],
        LEAST: detector.extreme(images.flip(0), False, None)[0],
    }

    def marks(place: int) -> tuple[Mark, ...]:
        return tuple(to_mark(points[place], symbol) for symbol, points in extremes.items())

    panels = [
        Panel(f"source:\n{short_name(labels[1])}", to_image(images[1])),
        Panel("its saliency:\n+ most, x least", maps[0].numpy(), marks=marks(0)),
        Panel(f"target:\n{short_name(labels[0])}", to_image(images[0])),
        Panel("its saliency:\n+ most, x least", maps[1].numpy(), marks=marks(1)),
    ]
    for source in SOURCES:
        options = [MixOptions(source=source, target=target, ties=ties) for target in TARGETS]
        mixes = [mix_images(images, draw, each, detector) for each in options]
        panels.append(replace(_source(mixes[0], 0), caption=f"cut:\n{_word(source)}"))
        for target, mix in zip(TARGETS, mixes):
            caption = f"{_word(source)} →\n{_word(target)}"
            panels.append(Panel(caption, to_image(mix.mixed[0]), to_box(mix.target_boxes[0]), TARGET))
    lam = float(mixes[0].lam[0])
    label = mixed_label(lam, labels[0], labels[1]).replace("\n", " ")
    return Example(f"All schemes, λ = {lam:.2f}: {label}", tuple(panels))


def _word(option: str) -> str:
    return option.replace("_", "-")


def compare_example(
    inputs: Tensor, labels: Sequence[str], augment: Any, unnormalizer: Any, draw: MixDraw, seed: int
) -> Example | None:
    """CutMix, OfficialSaliencyMix and SaliencyMix of the batch's first pair, with the same λ drawn.

    The first pair, because its source is the one on which the released code looks for the box of
    the whole batch.

    Args:
        inputs: normalised floats (N, 3, H, W).
        labels: a name for each.
        augment: the SaliencyMix.
        unnormalizer: see :func:`~smix_mm.visualization.mixes.mix_batch`.
        draw: tie-breakers and random centres of the SaliencyMix.
        seed: of the global generators, from which the other two draw.

    Returns:
        the example, or None where the first image got itself for a partner or nothing was pasted.
    """
    from mmpretrain.models.utils.batch_augments import CutMix

    from ..batch_augments import OfficialSaliencyMix

    alpha = augment.options.alpha
    cut, lam = mix_with_cutmix(CutMix(alpha), inputs, unnormalizer, seed)
    official, lam_again = mix_as_released(OfficialSaliencyMix(alpha), inputs, unnormalizer, seed)
    both_pasted = 0 in cut.shown() and 0 in official.shown()
    if both_pasted and (lam != lam_again or cut.partner[0] != official.partner[0]):
        raise RuntimeError("CutMix no longer draws as the released code does; wanted the same λ and partners")
    if not both_pasted:
        return None
    same = replace(draw, partner=cut.partner, lam=torch.full_like(draw.lam, lam))
    ours = mix_images(augment.uint8_images(inputs), same, augment.options, augment.detector)
    return _compare(cut, official, ours, labels, lam)


def _compare(cut: Mix, official: Mix, ours: Mix, labels: Sequence[str], drawn: float) -> Example:
    own, other = labels[0], labels[int(cut.partner[0])]
    panels = [
        replace(_source(ours, 0), caption=f"source:\n{short_name(other)}", box=None, marks=()),
        replace(_source(cut, 0), caption="CutMix:\na random box"),
        replace(_source(official, 0), caption="released code:\nthe map it gets", image=official.maps[0].numpy()),
        replace(_source(ours, 0), caption="SaliencyMix:\nthe true map", image=ours.maps[0].numpy()),
        replace(_target(ours, 0), caption=f"target:\n{short_name(own)}", box=None, marks=()),
    ]
    panels += [
        Panel(mixed_label(float(mix.lam[0]), own, other), to_image(mix.mixed[0])) for mix in (cut, official, ours)
    ]
    return Example(f"CutMix, OfficialSaliencyMix, SaliencyMix, λ drawn: {drawn:.2f}", tuple(panels))
