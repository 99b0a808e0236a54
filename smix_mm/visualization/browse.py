"""Sheets and pages that show how images, or a config's training batches, are mixed."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ..batch_augments import SaliencyMix
from ..datasets.training_batches import (
    TrainingBatch,
    build_preprocessor,
    read_classification_config,
    training_batches,
    unnormalizer,
)
from ..mixing import MixOptions
from ..saliency import FineGrainedSaliency, SaliencyDetector
from ..utils.choices import check_option
from ..utils.errors import UsageError
from ..utils.files import check_output
from ..utils.random_state import preserved_random_state
from ..utils.tensors import check_images
from .examples import compare_examples, mix_examples, scheme_examples
from .mixes import find_augment
from .page import save_page
from .panels import Example
from .sheet import save_sheet

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
        out: image file of the contact sheet, such as a PNG. None: no sheet is written.
        html: HTML file of a page with a slider through the examples, which needs no network. None: no page is written.
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
    if number < 1:
        raise ValueError(f"number should be at least 1, got {number}.")
    if seed < 0:
        raise ValueError(f"seed should be 0 or more, got {seed}.")
    for written in (out, html):
        if written is not None:
            check_output(written, config)
    cfg, name = read_classification_config(config, cfg_options), Path(config).name
    with preserved_random_state(seed):
        preprocessor = build_preprocessor(cfg)
        augment, probability = find_augment(preprocessor)
        if kind != "mix" and not isinstance(augment, SaliencyMix):
            augment = None
        batches = training_batches(cfg, preprocessor, seed)
        undo = unnormalizer(preprocessor)
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


def draw_mix_sheet(
    images: Tensor,
    labels: Sequence[str],
    path: str | Path,
    *,
    rows: int = 6,
    seed: int = 0,
    options: MixOptions | None = None,
    detector: SaliencyDetector | None = None,
) -> None:
    """Draw how images are mixed by SaliencyMix: source, saliency map with the box, target, mixed image.

    Args:
        images: uint8 RGB (N, 3, H, W), at least two.
        labels: the class name of each image.
        path: the image file to write, such as a PNG.
        rows: maximum number of mixes to show; those of an image with itself are left out.
        seed: seed of partners and λ.
        options: see :class:`~smix_mm.mixing.MixOptions`. Defaults to the paper's.
        detector: the saliency detector. Defaults to fine-grained saliency.

    Raises:
        TypeError, ValueError: an argument is not as above.
    """
    check_images(images, "N, 3, H, W", dtype="uint8")
    if len(images) < 2 or len(labels) != len(images):
        raise ValueError(f"There should be at least two images with a label each, got {len(images)} and {len(labels)}.")
    # With this mean and std, normalized images are the images themselves as floats.
    augment = SaliencyMix(
        saliency=detector or FineGrainedSaliency(), mean=(0, 0, 0), std=(1, 1, 1), **asdict(options or MixOptions())
    )
    batch = TrainingBatch(images.float(), list(labels))
    save_sheet(mix_examples(augment, batch, augment, torch.Generator().manual_seed(seed), seed)[:rows], path)
