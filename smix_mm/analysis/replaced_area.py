"""The share of its images that a batch augmentation of any implementation replaces, from its input and output."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence, Tuple

import torch
from torch import Tensor

from ..datasets.training_batches import (
    build_preprocessor,
    preprocessor_settings,
    read_classification_config,
    training_batches,
)
from ..study.config import RunConfig, load_study
from ..utils.errors import UsageError
from ..utils.progress import track
from ..utils.random_state import preserved_random_state
from ..utils.text import markdown_table

if TYPE_CHECKING:
    from mmengine.config import Config

Augment = Callable[[Tensor, Tensor], Tuple[Tensor, Tensor]]

# The largest mark, 1e-8 for 10,000 images, is below half the relative spacing of float32 (at least 3e-8), so rounding
# removes all marks.
_MARK = 1e-12


def count_replaced(augment: Augment, images: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a batch augmentation once, and count the replaced pixels, also where both images have the same colour.

    The pixels of each image are multiplied by a factor in float64 that identifies the image and that rounding to
    float32 removes.

    Args:
        augment: takes and returns images and scores, as mmpretrain's batch augmentations do;
            it may work in place and must not round the pixels that it moves.
        images: float32 (N, C, H, W), normalised, with no pixel that is 0 in all channels; N at most 10,000. Not
            changed.

    Returns:
        replaced: int64 (N,), the number of pixels of each image that come from another image.
        weight: float64 (N,), the weight of other labels in each label, 0 to 1.

    Raises:
        TypeError: ``images`` are not float32.
        ValueError: ``images`` have a pixel that is 0 in all channels.
    """
    if images.dtype != torch.float32:
        raise TypeError(f"images should be float32, got {images.dtype}.")
    if bool((images == 0).all(1).any()):
        raise ValueError("images should be normalised so that no pixel is 0 in all channels.")
    number = torch.arange(1, len(images) + 1, dtype=torch.float64, device=images.device)
    marked = images.double() * (1 + _MARK * number[:, None, None, None])
    scores = torch.eye(len(images), dtype=torch.float64, device=images.device)
    mixed, mixed_scores = augment(marked.clone(), scores.clone())
    return (mixed != marked).any(1).flatten(1).sum(1), 1 - mixed_scores.diagonal()


def summarize_areas(counts: Sequence[tuple[Tensor, Tensor]], pixels: int) -> dict[str, float]:
    """Means and standard deviations over many batches, as shares of 0 to 1.

    Args:
        counts: what :func:`count_replaced` returned for each batch.
        pixels: number of pixels of an image.

    Returns:
        ``area`` and ``area_sd``, mean and standard deviation over images of the replaced share;
        ``area_error``, the standard error of that mean, with a batch as the unit, because the
        images of a batch may share one box (NaN for one batch); ``weight`` and ``weight_sd``, of
        the weight of other labels; ``batches``; ``images``.
    """
    batches, images = len(counts), sum(len(replaced) for replaced, _ in counts)
    area, area_sd = _moments([(int(one.sum()), int((one**2).sum())) for one, _ in counts], images)
    means = [int(one.sum()) / len(one) for one, _ in counts]
    _, of_batches = _moments([(mean, mean**2) for mean in means], batches)
    weight, weight_sd = _moments([(float(one.sum()), float((one**2).sum())) for _, one in counts], images)
    return dict(
        batches=batches,
        images=images,
        area=area / pixels,
        area_sd=area_sd / pixels,
        area_error=of_batches / math.sqrt(batches - 1) / pixels if batches > 1 else math.nan,
        weight=weight,
        weight_sd=weight_sd,
    )


def _moments(sums: list[tuple[float, float]], number: int) -> tuple[float, float]:
    """Mean and population standard deviation, from sums of values and of their squares."""
    total, squares = map(sum, zip(*sums))
    return total / number, math.sqrt(max(squares / number - (total / number) ** 2, 0))


def measure_area(study: str | Path, *, batches: int = 1000, seed: int = 0) -> dict[str, dict[str, float]]:
    """Count, for each arm with a pretraining, the pixels that its batch augmentation replaces.

    All arms get the same batches, those of the training: cropped and flipped. Every batch is mixed; the probability
    with which the training mixes a batch is returned as ``probability``. With ``saliency_before_crop``, boxes here come
    from the maps of the crops: the same sizes elsewhere, so the same areas with ``border='shift'`` alone.

    Args:
        study: config of the study; before the mixing, the arms' batches must not differ.
        batches: number of batches, at least 1; arms with one box a batch need thousands. Default: 1000.
        seed: of the batches and of the mixing; an arm's random numbers do not depend on the other arms. Default: 0.

    Returns:
        by arm, ``probability`` and the values of :func:`summarize_areas`; for an arm
        without batch augmentation ``probability`` is 0 and the other values are missing, as they are for RecursiveMix,
        whose pixels come from an earlier batch.

    Raises:
        UsageError: the study or a number is invalid, or the arms differ in their data.
        ValueError: the data cannot be read.
    """
    arms = {name: arm for name, arm in load_study(study).arms.items() if isinstance(arm, RunConfig)}
    if batches < 1:
        raise UsageError(f"batches should be at least 1, got {batches}.")
    if not arms:
        raise UsageError(f"study {study} should have an arm with a pretraining.")
    configs = {name: read_classification_config(arm.path, arm.cfg_options) for name, arm in arms.items()}
    first, reference = next(iter(configs.items()))
    for name, cfg in configs.items():
        if _data(cfg) != _data(reference):
            raise UsageError(f"arms should differ in the mixing only, but {first} and {name} differ in their data.")
    found: dict[str, dict[str, float]] = {name: dict(probability=0.0) for name in arms}
    with preserved_random_state(seed):
        augments = {
            name: _augment(name, cfg)
            for name, cfg in configs.items()
            if preprocessor_settings(cfg).get("batch_augments")
        }
        for name in [name for name, (augment, _) in augments.items() if hasattr(augment, "history")]:
            found[name] = dict(probability=augments.pop(name)[1])
        counts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in augments}
        data = training_batches(reference, build_preprocessor(reference), seed)
        for number, batch in enumerate(track(islice(data, batches), "batches", batches)):
            for name, (augment, _) in augments.items():
                with preserved_random_state(batches * seed + number):
                    counts[name].append(count_replaced(augment, batch.inputs))
    for name, (_, probability) in augments.items():
        found[name] = dict(probability=probability, **summarize_areas(counts[name], batch.inputs[0, 0].numel()))
    return found


def format_areas(found: dict[str, dict[str, float]]) -> str:
    """The shares as a Markdown table, in percent."""
    header = ["arm", "replaced, %", "± standard error", "sd over images", "label's weight, %", "sd", "mixed batches, %"]
    keys = ("area", "area_error", "area_sd", "weight", "weight_sd")
    rows = [
        [name, *(f"{100 * row[key]:.2f}" if key in row else "–" for key in keys), f"{100 * row['probability']:.0f}"]
        for name, row in found.items()
    ]
    return markdown_table(header, rows, "lr")


def _data(cfg: Config) -> dict[str, Any]:
    """All settings that determine a batch before the mixing."""
    mixing = ("batch_augments", "saliency_before_crop")
    preprocessor = {key: value for key, value in preprocessor_settings(cfg).items() if key not in mixing}
    return dict(preprocessor=preprocessor, train_dataloader=cfg.train_dataloader)


def _augment(name: str, cfg: Config) -> tuple[Any, float]:
    """The batch augmentation of an arm and its probability."""
    wrapper = build_preprocessor(cfg).batch_augments
    mixing = [augment for augment in wrapper.augments if augment is not None]
    if len(mixing) != 1:
        raise UsageError(f"arm {name} should have one batch augmentation, got {len(mixing)}.")
    return mixing[0], 1.0 if wrapper.probs is None else wrapper.probs[0]
