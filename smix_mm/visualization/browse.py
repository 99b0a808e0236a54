"""Examples, sheets and pages of how images, or a config's training batches, are mixed."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping

import torch

from ..batch_augments import OfficialSaliencyMix, SaliencyMix
from ..datasets.training_batches import (
    TrainingBatch,
    build_preprocessor,
    read_classification_config,
    training_batches,
    unnormalizer,
)
from ..mixing import MixDraw, MixOptions, draw_mix
from ..mixing.plan import SOURCES, TARGETS
from ..utils.choices import check_minimum, check_option
from ..utils.errors import UsageError
from ..utils.files import check_output
from ..utils.random_state import preserved_random_state
from .mixes import detector_input, find_augment, mix_batch, mix_images
from .page import save_page
from .sheet import LEAST, MOST, Example, Panel, mixed_label, save_sheet, short_name, to_image, to_mark

MAX_BATCHES = 50
TITLES = {
    "mix": "Mixed batches of",
    "schemes": "All schemes on batches of",
    "compare": "CutMix, the released code and SaliencyMix on batches of",
}


def browse_mix(
    config: str | Path,
    *,
    out: str | Path | None = None,
    html: str | Path | None = None,
    kind: str = "mix",
    number: int = 6,
    seed: int = 0,
    small: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
) -> str:
    """Draw how a config's batch augmentation mixes batches of its own training data.

    Images pass through the config's sampler, pipeline and data preprocessor. Every batch is mixed, regardless of the
    probability in the config.

    Args:
        config: a classification config of mmpretrain, with or without mixing.
        out: image file of the contact sheet, such as a PNG, or None.
        html: HTML file of a page with a slider through the examples, which needs no network, or None.
        kind: ``'mix'``: source, saliency map, target, mixed image. ``'schemes'``: every source with every target of
            SaliencyMix on one pair. ``'compare'``: CutMix, OfficialSaliencyMix and SaliencyMix on one pair with one λ.
        number: number of examples, at least 1; at most 50 batches are searched for them.
        seed: seed of the order of the data, of partners and of λ; 0 or more.
        small: write the sheet, a PNG, in 256 colours.
        cfg_options: config settings to override, by dotted name.

    Returns:
        a sentence that names the augmentation that was used.

    Raises:
        ValueError: an argument is not as above.
        UsageError: the config or its data does not allow mixing.
    """
    check_option("kind", kind, tuple(TITLES))
    check_minimum("number", number, 1)
    check_minimum("seed", seed, 0)
    for written in (out, html):
        if written is not None:
            check_output(written, config)
    cfg = read_classification_config(config, cfg_options)
    name = Path(cfg.filename).name
    with preserved_random_state(seed):
        preprocessor = build_preprocessor(cfg)
        augment, probability = find_augment(preprocessor)
        if kind != "mix" and not isinstance(augment, SaliencyMix):
            augment = None
        batches = training_batches(cfg, preprocessor, seed)
        undo = unnormalizer(preprocessor, cfg.train_dataloader)
        generator = torch.Generator().manual_seed(seed)
        examples: list[Example] = []
        for index, batch in enumerate(islice(batches, MAX_BATCHES)):
            if len(batch.labels) < 2:
                continue
            found: Iterable[Example]
            if kind == "mix":
                found = mix_examples(augment or undo, batch, undo, generator, seed + index)
            elif kind == "schemes":
                found = scheme_examples(augment or undo, batch, generator)
            else:
                found = compare_examples(augment or undo, batch, undo, generator, seed + index * len(batch.labels))
            examples += islice(found, number - len(examples))
            if len(examples) == number:
                break
    if not examples:
        raise UsageError(
            f"The training batches of {name} should have at least two images, one of which is pasted onto another; "
            "set train_dataloader.batch_size to 2 or more."
        )
    if augment is None:
        missing = "SaliencyMix, OfficialSaliencyMix or CutMix" if kind == "mix" else "SaliencyMix"
        note = f"{name} has no {missing}; a SaliencyMix with default options is used."
    else:
        note = f"The {type(augment).__name__} of {name} is used; training applies it to {probability:.0%} of batches."
    if out is not None:
        save_sheet(examples, out, small)
    if html is not None:
        save_page(examples, html, f"{TITLES[kind]} {name}", note)
    return note


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
        source, target = mix.pair(index)
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
    batch_images = augment.uint8_images(batch.inputs)
    batch_seen, detector = detector_input(batch_images, augment.detector, batch.maps.get(augment))
    scheme = MixOptions(ties=augment.options.ties)
    batch_draw = draw_mix(len(batch_images), augment.options.alpha, generator)
    for index, partner in enumerate(batch_draw.partner.tolist()):
        if partner == index:
            continue
        images, seen = batch_images[[index, partner]], batch_seen[[index, partner]]
        own, other = batch.labels[index], batch.labels[partner]
        draw = MixDraw(torch.tensor([1, 0]), batch_draw.lam[[index] * 2], batch_draw.uniform[[index] * 2])
        maps = detector.saliency(seen).clamp(min=0).cpu()
        most, least = (detector.extreme(seen, largest, None)[0] for largest in (True, False))
        marks = [(to_mark(most[place], MOST), to_mark(least[place], LEAST)) for place in (0, 1)]
        panels = [
            Panel(f"source:\n{short_name(other)}", to_image(images[1])),
            Panel("source saliency:\n+ most, x least", maps[1].numpy(), marks=marks[1]),
            Panel(f"target:\n{short_name(own)}", to_image(images[0])),
            Panel("target saliency:\n+ most, x least", maps[0].numpy(), marks=marks[0]),
        ]
        for source in SOURCES:
            mixes = [
                mix_images(images, seen, detector, draw, replace(scheme, source=source, target=target))
                for target in TARGETS
            ]
            panels.append(replace(mixes[0].pair(0)[0], caption=f"cut:\n{source}".replace("_", "-")))
            for target, mix in zip(TARGETS, mixes):
                caption = f"{source} →\n{target}".replace("_", "-")
                panels.append(replace(mix.pair(0)[1], caption=caption, image=to_image(mix.mixed[0]), marks=()))
        lam = float(mixes[0].lam[0])
        label = mixed_label(lam, own, other).replace("\n", " ")
        yield Example(f"All schemes, λ = {lam:.2f}: {label}", tuple(panels))


def compare_examples(
    augment: SaliencyMix, batch: TrainingBatch, unnormalizer: SaliencyMix, generator: torch.Generator, seed: int
) -> Iterator[Example]:
    """CutMix, OfficialSaliencyMix and SaliencyMix on the same pair with the same drawn λ, for each image of a batch.

    The batch is rolled so that the image is the first one, because the released code searches the first pair's source
    for the box of the whole batch; ``seed`` rises by one for each image. Images onto which nothing was pasted are left
    out. CutMix and the released code draw the same λ and partners from the same seed.
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
        draw = replace(draw, partner=cut.partner, lam=torch.full_like(draw.lam, cut.drawn_lam))
        given = batch.maps.get(augment)
        rolled = None if given is None else given.roll(-shift, 0)
        ours = mix_batch(augment, inputs, unnormalizer, draw, seed + shift, rolled)
        own, other = labels[0], labels[int(cut.partner[0])]
        mixes = (cut, official, ours)
        by_cutmix, by_released, by_ours = (mix.pair(0)[0] for mix in mixes)
        panels = (
            Panel(f"source:\n{short_name(other)}", to_image(ours.images[int(ours.partner[0])])),
            replace(by_cutmix, caption="CutMix:\nrandom box"),
            replace(by_released, caption="released code:\nits map", image=official.maps[0].numpy()),
            replace(by_ours, caption="SaliencyMix:\nsaliency map", image=ours.maps[0].numpy()),
            Panel(f"target:\n{short_name(own)}", to_image(ours.images[0])),
            *(Panel(mixed_label(float(mix.lam[0]), own, other), to_image(mix.mixed[0])) for mix in mixes),
        )
        yield Example(f"CutMix, OfficialSaliencyMix, SaliencyMix, λ drawn: {cut.drawn_lam:.2f}", panels)
