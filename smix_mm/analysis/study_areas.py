"""What share of the images each arm of a study replaces."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Callable

from mmengine.config import Config

from ..datasets.training_batches import build_preprocessor, read_classification_config, training_batches
from ..study.config import load_study
from ..utils.errors import UsageError
from ..utils.random_state import preserved_random_state
from .replaced_area import AreaCount, count_replaced


def measure_area(
    study: str | Path, *, batches: int = 1000, seed: int = 0, say: Callable[[str], None] = lambda line: None
) -> dict[str, dict[str, float]]:
    """Count, for each arm that pretrains, the pixels that its batch augmentation replaces.

    All arms get the same batches: those of the training, cropped and flipped. The coin that leaves
    batches unmixed is not thrown; how often it does is ``probability``.

    Args:
        study: its config; the arms' batches differ in nothing before the mixing.
        batches: how many; arms with one box a batch need thousands.
        seed: of the batches and of the mixing. What one arm draws does not depend on the others.
        say: is told how far it is.

    Returns:
        by arm ``probability`` and what :meth:`~smix_mm.analysis.replaced_area.AreaCount.summary` gives; of an arm
        without batch augmentation ``probability`` is 0 and the rest is left out.

    Raises:
        UsageError: the study is not as wanted, or its arms differ in their data.
        ValueError: the data is not there.
    """
    arms = {arm.name: arm.pretraining for arm in load_study(study).arms.values() if arm.pretraining is not None}
    if batches < 1 or not arms:
        raise UsageError(f"batches is {batches}, arms that pretrain are {len(arms)}; wanted at least one of each")
    configs = {name: read_classification_config(arm.path, arm.cfg_options) for name, arm in arms.items()}
    first, reference = next(iter(configs.items()))
    for name, cfg in configs.items():
        if _data(cfg) != _data(reference):
            raise UsageError(f"{first} and {name} differ in their data; wanted arms that differ in the mixing alone")
    found: dict[str, dict[str, float]] = {name: dict(probability=0.0) for name in arms}
    with preserved_random_state(seed):
        augments = {name: _augment(name, cfg) for name, cfg in configs.items() if _mixes(cfg)}
        counts: dict[str, AreaCount] = {}
        data = training_batches(reference, build_preprocessor(reference), seed)
        for number, batch in enumerate(islice(data, batches)):
            for name, (augment, _) in augments.items():
                with preserved_random_state(batches * seed + number):
                    replaced, weight = count_replaced(augment, batch.inputs)
                counts.setdefault(name, AreaCount(batch.inputs[0, 0].numel())).add(replaced, weight)
            say(f"batch {number + 1} of {batches}")
    for name, count in counts.items():
        found[name] = dict(probability=augments[name][1], **count.summary())
    return found


def format_areas(found: dict[str, dict[str, float]]) -> str:
    """The shares as a Markdown table, in percent."""
    lines = [
        "| arm | replaced, % | ± standard error | sd over images | label's weight, % | sd | mixed batches, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in found.items():
        keys = ("area", "area_error", "area_sd", "weight", "weight_sd")
        cells = [f"{100 * row[key]:.2f}" if key in row else "–" for key in keys]
        lines.append(f"| {name} | {' | '.join(cells)} | {100 * row['probability']:.0f} |")
    return "\n".join(lines)


def _mixes(cfg: Config) -> bool:
    return bool(cfg.data_preprocessor.get("batch_augments"))


def _data(cfg: Config) -> dict[str, Any]:
    """All that decides what a batch is before the mixing."""
    preprocessor = {key: value for key, value in cfg.data_preprocessor.items() if key != "batch_augments"}
    return dict(preprocessor=preprocessor, train_dataloader=cfg.train_dataloader)


def _augment(name: str, cfg: Config) -> tuple[Any, float]:
    wrapper = build_preprocessor(cfg).batch_augments
    mixing = [augment for augment in wrapper.augments if augment is not None]
    if len(mixing) != 1:
        raise UsageError(f"{name} has {len(mixing)} batch augmentations; wanted one")
    return mixing[0], 1.0 if wrapper.probs is None else wrapper.probs[0]
