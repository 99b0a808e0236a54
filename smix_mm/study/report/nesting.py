"""Figures by pretraining seed and, inside, by fine-tuning seed.

Several fine-tunings of one backbone say nothing about the spread of the pretraining, so the
pretraining seed is the independent unit and fine-tunings are averaged inside it. Where there is one
pretraining alone, or a given checkpoint, the unit is the fine-tuning seed, and the comparison is
one of these backbones, not of ways to pretrain.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Optional

import numpy as np

from .results import Run

PRETRAINING_SEEDS, FINETUNING_SEEDS = "pretraining seeds", "fine-tuning seeds"

# The figures are floats, or arrays of what they are in resampled test sets.
Nested = Dict[Optional[int], Dict[Optional[int], Any]]


def nest(runs: Iterable[Run], figures: Mapping[str, Any]) -> Nested:
    """The figures of one arm and detector, given by the runs' names."""
    nested: Nested = {}
    for run in runs:
        nested.setdefault(run.pretraining_seed, {})[run.finetuning_seed] = figures[run.name]
    return nested


def subtract(second: Nested, first: Nested) -> Nested:
    """Differences over the seeds that both have.

    Where one side is a given checkpoint, the other side's pretrainings are averaged for each
    fine-tuning seed.
    """
    if (None in second) != (None in first):
        second, first = _without_pretraining_seeds(second), _without_pretraining_seeds(first)
    differences: Nested = {}
    for outer in second:
        common = [inner for inner in second[outer] if inner in first.get(outer, {})]
        if common:
            differences[outer] = {inner: second[outer][inner] - first[outer][inner] for inner in common}
    return differences


def unit(nested: Nested) -> str:
    """What the independent unit is; of a study without detectors, always the pretraining seed."""
    several = len(nested) > 1 or all(None in inner for inner in nested.values())
    return PRETRAINING_SEEDS if several else FINETUNING_SEEDS


def groups(nested: Nested) -> list[list[Any]]:
    """An entry a unit; inside, what was measured of it."""
    if unit(nested) == PRETRAINING_SEEDS:
        return [list(inner.values()) for inner in nested.values()]
    return [[figure] for inner in nested.values() for figure in inner.values()]


def unit_means(nested: Nested) -> list[Any]:
    """The mean of each unit."""
    means = [np.mean(group, axis=0) for group in groups(nested)]
    return [float(mean) if np.ndim(mean) == 0 else mean for mean in means]


def nested_mean(nested: Nested) -> Any:
    """The mean over units of their means."""
    return np.mean(unit_means(nested), axis=0)


def count(nested: Nested) -> int:
    """How many runs there are."""
    return sum(map(len, nested.values()))


def _without_pretraining_seeds(nested: Nested) -> Nested:
    seeds = dict.fromkeys(seed for inner in nested.values() for seed in inner)
    return {
        None: {seed: np.mean([inner[seed] for inner in nested.values() if seed in inner], axis=0) for seed in seeds}
    }
