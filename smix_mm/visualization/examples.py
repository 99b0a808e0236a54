"""Examples of mixed batches for a sheet or a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator

import torch

from ..batch_augments import OfficialSaliencyMix, SaliencyMix
from ..datasets.training_batches import TrainingBatch
from ..mixing import MixDraw, MixOptions, draw_mix
from ..mixing.plan import SOURCES, TARGETS
from ..saliency.base import GivenSaliency
from .mixes import Mix, mix_batch, mix_images
from .panels import LEAST, MOST, SOURCE, TARGET, Example, Panel, mixed_label, short_name, to_box, to_image, to_mark

# Arguments of all three functions: `batch`, normalised images and their class names; `unnormalizer`, a SaliencyMix
# whose `uint8_images` undoes the normalisation; `generator`, from which a SaliencyMix draws partners and λ; `seed` of
# the global generators, from which CutMix and OfficialSaliencyMix draw.


def mix_examples(
    augment: Any, batch: TrainingBatch, unnormalizer: SaliencyMix, generator: torch.Generator, seed: int
) -> list[Example]:
    """One example per image that a patch is pasted onto by ``augment``: source, its map, target, mixed image."""
    alpha = getattr(augment, "options", MixOptions()).alpha
    draw, maps = draw_mix(len(batch.labels), alpha, generator), batch.maps.get(augment)
    mix = mix_batch(augment, batch.inputs, unnormalizer, draw, seed, maps)
    examples = []
    for index in mix.changed():
        own, other, lam = batch.labels[index], batch.labels[int(mix.partner[index])], float(mix.lam[index])
        source, target = _pair(mix, index)
        panels = (
            replace(source, caption=f"source:\n{short_name(other)}"),
            replace(source, caption=mix.map_caption, image=mix.maps[index].numpy()),
            replace(target, caption=f"target:\n{short_name(own)}"),
            Panel(mixed_label(lam, own, other), to_image(mix.mixed[index])),
        )
        examples.append(Example(f"{mix.name}, λ = {lam:.2f}", panels))
    return examples


def scheme_examples(augment: SaliencyMix, batch: TrainingBatch, generator: torch.Generator) -> Iterator[Example]:
    """Every source combined with every target, for each pair of a batch; λ is the same within a pair.

    Of ``augment`` the detector, alpha and ties are used.
    """
    batch_images, detector, given = augment.uint8_images(batch.inputs), augment.detector, batch.maps.get(augment)
    seen: Any = batch_images if given is None else given[:, None]
    detector = detector if given is None else GivenSaliency()
    scheme = MixOptions(ties=augment.options.ties)
    batch_draw = draw_mix(len(batch_images), augment.options.alpha, generator)
    for index, partner in enumerate(batch_draw.partner.tolist()):
        if partner == index:
            continue
        images, sources = batch_images[[index, partner]], seen[[partner, index]]
        maps_given = None if given is None else given[[index, partner]]
        own, other = batch.labels[index], batch.labels[partner]
        draw = MixDraw(torch.tensor([1, 0]), batch_draw.lam[[index] * 2], batch_draw.uniform[[index] * 2])
        maps = detector.saliency(sources).clamp(min=0).cpu()
        most, least = (detector.extreme(sources, largest, None)[0] for largest in (True, False))
        marks = [(to_mark(most[place], MOST), to_mark(least[place], LEAST)) for place in (0, 1)]
        panels = [
            Panel(f"source:\n{short_name(other)}", to_image(images[1])),
            Panel("source saliency:\n+ most, x least", maps[0].numpy(), marks=marks[0]),
            Panel(f"target:\n{short_name(own)}", to_image(images[0])),
            Panel("target saliency:\n+ most, x least", maps[1].numpy(), marks=marks[1]),
        ]
        for source in SOURCES:
            mixes = [
                mix_images(images, draw, replace(scheme, source=source, target=target), detector, maps_given)
                for target in TARGETS
            ]
            panels.append(replace(_pair(mixes[0], 0)[0], caption=f"cut:\n{source}".replace("_", "-")))
            for target, mix in zip(TARGETS, mixes):
                caption = f"{source} →\n{target}".replace("_", "-")
                panels.append(replace(_pair(mix, 0)[1], caption=caption, image=to_image(mix.mixed[0]), marks=()))
        lam = float(mixes[0].lam[0])
        label = mixed_label(lam, own, other).replace("\n", " ")
        yield Example(f"All schemes, λ = {lam:.2f}: {label}", tuple(panels))


def compare_examples(
    augment: SaliencyMix, batch: TrainingBatch, unnormalizer: SaliencyMix, generator: torch.Generator, seed: int
) -> Iterator[Example]:
    """CutMix, OfficialSaliencyMix and SaliencyMix on the same pair with the same drawn λ, for each image of a batch.

    The batch is rolled so that the image is the first one, because the released code searches the first pair's source
    for the box of the whole batch; ``seed`` rises by one for each image. Images onto which nothing was pasted are left
    out.

    Raises:
        RuntimeError: mmpretrain's CutMix does not draw the same numbers as the released code.
    """
    from mmpretrain.models.utils.batch_augments import CutMix

    alpha = augment.options.alpha
    for shift in range(len(batch.labels)):
        inputs, labels = batch.inputs.roll(-shift, 0), batch.labels[shift:] + batch.labels[:shift]
        draw = draw_mix(len(labels), alpha, generator)
        cut, official = (
            mix_batch(kind(alpha), inputs, unnormalizer, draw, seed + shift) for kind in (CutMix, OfficialSaliencyMix)
        )
        if 0 not in cut.changed() or 0 not in official.changed():
            continue
        lam = cut.drawn_lam
        if lam != official.drawn_lam or cut.partner[0] != official.partner[0]:
            raise RuntimeError("CutMix and the released code should draw the same λ and partners, but they differ.")
        draw = replace(draw, partner=cut.partner, lam=torch.full_like(draw.lam, lam))
        given = batch.maps.get(augment)
        rolled = None if given is None else given.roll(-shift, 0)
        ours = mix_batch(augment, inputs, unnormalizer, draw, seed + shift, rolled)
        own, other = labels[0], labels[int(cut.partner[0])]
        mixes = (cut, official, ours)
        by_cutmix, by_released, by_ours = (_pair(mix, 0)[0] for mix in mixes)
        panels = (
            Panel(f"source:\n{short_name(other)}", to_image(ours.images[int(ours.partner[0])])),
            replace(by_cutmix, caption="CutMix:\nrandom box"),
            replace(by_released, caption="released code:\nits map", image=official.maps[0].numpy()),
            replace(by_ours, caption="SaliencyMix:\nsaliency map", image=ours.maps[0].numpy()),
            Panel(f"target:\n{short_name(own)}", to_image(ours.images[0])),
            *(Panel(mixed_label(float(mix.lam[0]), own, other), to_image(mix.mixed[0])) for mix in mixes),
        )
        yield Example(f"CutMix, OfficialSaliencyMix, SaliencyMix, λ drawn: {lam:.2f}", panels)


def _pair(mix: Mix, index: int) -> tuple[Panel, Panel]:
    """The partner of an image with the box that was cut, and the image with the box that is pasted over."""
    panels = []
    for image, boxes, colour, points, symbol in (
        (int(mix.partner[index]), mix.source_boxes, SOURCE, mix.source_points, mix.source_symbol),
        (index, mix.target_boxes, TARGET, mix.target_points, mix.target_symbol),
    ):
        marks = () if points is None else (to_mark(points[index], symbol),)
        panels.append(Panel("", to_image(mix.images[image]), to_box(boxes[index]), colour, marks))
    return panels[0], panels[1]
