"""A look at how a config's own batches are mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Mapping

import torch

from ..datasets.training_batches import (
    TrainingBatch,
    build_preprocessor,
    read_classification_config,
    training_batches,
    unnormalizer,
)
from ..mixing import MixDraw, MixOptions, draw_mix
from ..utils.random_state import preserved_random_state
from .examples import compare_example, mix_examples, scheme_example
from .mixes import find_augment, mix_batch
from .page import save_page
from .panels import Example
from .sheet import save_sheet

KINDS = ("mix", "schemes", "compare")
MOST_BATCHES = 50
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
    """Draw what a config's batch augmentation makes of batches of its own training data.

    Images come through the config's sampler, pipeline and data preprocessor. Every batch is mixed,
    whatever the probability that the config gives.

    Args:
        config: a classification config of mmpretrain, with or without mixing.
        out: image file of the contact sheet, such as a PNG.
        html: file of a page with a slider through the examples, which needs no network.
        kind: ``'mix'``: source, map, target, result. ``'schemes'``: every source with every target of
            SaliencyMix on one pair. ``'compare'``: CutMix, OfficialSaliencyMix and SaliencyMix on one
            pair with one λ.
        number: examples, at least 1.
        seed: of the data's order, of partners and of λ; 0 or more.
        small: write the sheet, a PNG, in 256 colours.
        cfg_options: settings by dotted name, laid over the config.

    Returns:
        a sentence that says which augmentation was used.

    Raises:
        ValueError: an option, the config or its data is not as wanted.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; wanted one of {', '.join(KINDS)}")
    if number < 1 or seed < 0:
        raise ValueError(f"number is {number} and seed {seed}; wanted at least 1, and 0 or more")
    cfg = read_classification_config(config, cfg_options)
    with preserved_random_state(seed):
        preprocessor = build_preprocessor(cfg)
        browser = _Browser(preprocessor, kind, seed, Path(config).name)
        examples = browser.take(training_batches(cfg, preprocessor, seed), number)
    if out is not None:
        save_sheet(examples, out, small)
    if html is not None:
        save_page(examples, html, f"{TITLES[kind]} {Path(config).name}", browser.note)
    return browser.note


class _Browser:
    """Makes examples of one kind from batches, with the config's augmentation or, failing it, the default."""

    def __init__(self, preprocessor: Any, kind: str, seed: int, config: str) -> None:
        from ..batch_augments import SaliencyMix

        self.kind, self.seed = kind, seed
        self.unnormalizer = unnormalizer(preprocessor)
        found, probability = find_augment(preprocessor)
        if kind != "mix" and not isinstance(found, SaliencyMix):
            found = None
        self.augment = self.unnormalizer if found is None else found
        self.note = _note(config, kind, found, probability)
        self.generator = torch.Generator().manual_seed(seed)

    def take(self, batches: Iterator[TrainingBatch], number: int) -> list[Example]:
        """The first examples, at most ``number``."""
        examples: list[Example] = []
        for turn, batch in enumerate(batches):
            if len(batch.labels) < 2:
                raise ValueError("a batch has one image; wanted train_dataloader.batch_size to be 2 or more")
            make = {"mix": self._mix, "schemes": self._schemes, "compare": self._compare}[self.kind]
            examples += make(batch, turn, number - len(examples))
            if len(examples) >= number or turn + 1 >= MOST_BATCHES:
                break
        if not examples:
            raise ValueError("no image was pasted on another; wanted training data of two images or more")
        return examples[:number]

    def _mix(self, batch: TrainingBatch, turn: int, wanted: int) -> list[Example]:
        alpha = getattr(self.augment, "options", MixOptions()).alpha
        draw = draw_mix(len(batch.labels), alpha, self.generator)
        mix = mix_batch(self.augment, batch.inputs, self.unnormalizer, draw, self.seed + turn)
        return mix_examples(mix, batch.labels)

    def _schemes(self, batch: TrainingBatch, turn: int, wanted: int) -> list[Example]:
        images = self.augment.uint8_images(batch.inputs)
        draw = draw_mix(len(images), self.augment.options.alpha, self.generator)
        examples: list[Example] = []
        for index in range(len(images)):
            partner = int(draw.partner[index])
            if partner != index and len(examples) < wanted:
                pair = [index, partner]
                same = [index, index]
                two = MixDraw(torch.tensor([1, 0]), draw.lam[same], draw.uniform[same])
                labels = [batch.labels[each] for each in pair]
                ties = self.augment.options.ties
                examples.append(scheme_example(images[pair], labels, two, self.augment.detector, ties))
        return examples

    def _compare(self, batch: TrainingBatch, turn: int, wanted: int) -> list[Example]:
        samples = len(batch.labels)
        examples: list[Example] = []
        for shift in range(samples):
            if len(examples) >= wanted:
                break
            # Another image is the first of the batch each time.
            inputs, labels = batch.inputs.roll(-shift, 0), batch.labels[shift:] + batch.labels[:shift]
            draw = draw_mix(samples, self.augment.options.alpha, self.generator)
            seed = self.seed + turn * samples + shift
            example = compare_example(inputs, labels, self.augment, self.unnormalizer, draw, seed)
            examples += [] if example is None else [example]
        return examples


def _note(config: str, kind: str, found: Any, probability: float) -> str:
    if found is None:
        wanted = "SaliencyMix, OfficialSaliencyMix or CutMix" if kind == "mix" else "SaliencyMix"
        return f"{config} has no {wanted}: shown is SaliencyMix with its default options."
    name = type(found).__name__
    return f"Shown is the {name} of {config}, which training applies to {probability:.0%} of its batches."
