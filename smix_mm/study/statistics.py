"""The statistics of a comparison: means over seeds, intervals, tests, and the number of seeds to show a difference.

Several fine-tunings of one backbone do not show the spread between pretrainings, so the pretraining seed is the
independent unit and fine-tunings are averaged inside it. With a single pretraining, or a given checkpoint, the unit is
the fine-tuning seed, and the comparison is one of these backbones, not of ways to pretrain.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

LEVEL = 0.95
POWER = 0.8
EFFECT = 0.5
"""A difference in points; reports estimate the number of seeds to show it."""
MOST_SEEDS = 100_000

Interval = Tuple[float, float]

Nested = Dict[Optional[int], Dict[Optional[int], Any]]
"""Figures by pretraining seed and, inside, by fine-tuning seed: floats, or float64 arrays over resampled test sets."""


def subtract_nested(second: Nested, first: Nested) -> Nested:
    """Differences over the seeds that both have.

    If one side is a given checkpoint, the pretrainings of the other side are averaged for each
    fine-tuning seed.
    """
    if (None in second) != (None in first):
        second, first = _average_pretrainings(second), _average_pretrainings(first)
    differences = {
        outer: {inner: second[outer][inner] - first[outer][inner] for inner in second[outer] if inner in first[outer]}
        for outer in second
        if outer in first
    }
    return {outer: inner for outer, inner in differences.items() if inner}


def _average_pretrainings(nested: Nested) -> Nested:
    seeds = dict.fromkeys(seed for inner in nested.values() for seed in inner)
    return {
        None: {seed: np.mean([inner[seed] for inner in nested.values() if seed in inner], axis=0) for seed in seeds}
    }


def independent_unit(nested: Nested) -> str:
    """``'pretraining seeds'`` or ``'fine-tuning seeds'``; without detectors always the former."""
    several = len(nested) > 1 or all(None in inner for inner in nested.values())
    return "pretraining seeds" if several else "fine-tuning seeds"


def unit_groups(nested: Nested) -> list[list[Any]]:
    """The figures of each independent unit."""
    if independent_unit(nested) == "pretraining seeds":
        return [list(inner.values()) for inner in nested.values()]
    return [[figure] for inner in nested.values() for figure in inner.values()]


def unit_means(nested: Nested) -> list[Any]:
    """The mean of each independent unit."""
    means = [np.mean(group, axis=0) for group in unit_groups(nested)]
    return [float(mean) if np.ndim(mean) == 0 else mean for mean in means]


def nested_mean(nested: Nested) -> Any:
    """The mean of the units' means."""
    return np.mean(unit_means(nested), axis=0)


def standard_deviation(values: Sequence[float]) -> float | None:
    """With n - 1 in the denominator; None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def has_spread(values: Sequence[float]) -> bool:
    """Whether two values differ by more than the rounding of floats."""
    return len(values) > 1 and float(np.ptp(values)) > 1e-12 * max(1.0, float(np.abs(values).max()))


def t_interval(values: Sequence[float]) -> Interval | None:
    """Student's 95 % interval for the mean of independent values; None if they have no spread."""
    from scipy import stats

    if not has_spread(values):
        return None
    deviation = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    margin = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * deviation
    center = float(np.mean(values))
    return center - margin, center + margin


def t_test(differences: Sequence[float]) -> float | None:
    """Two-sided p of paired differences against zero; None if they have no spread."""
    from scipy import stats

    return float(stats.ttest_1samp(differences, 0).pvalue) if has_spread(differences) else None


def bootstrap_interval(groups: Sequence[Sequence[float]], resamples: int = 9999, seed: int = 0) -> Interval | None:
    """95 % bootstrap interval for the mean over groups of the mean inside each.

    If every group is a single value, this is scipy's BCa interval (its percentile interval
    if BCa is not defined). Otherwise groups are drawn with replacement, then values inside each
    drawn group, and the interval is that of the percentiles.

    Args:
        groups: the differences, by pretraining seed; inside, by fine-tuning seed.
        resamples: number of bootstrap samples.
        seed: of the resampling; equal input gives an equal interval.

    Returns:
        the interval; None for fewer than three groups or without spread. With few groups it
        is too narrow: three have only ten different resamples.
    """
    if len(groups) < 3 or not has_spread([value for group in groups for value in group]):
        return None
    rng, count = np.random.default_rng(seed), len(groups)
    if all(len(group) == 1 for group in groups):
        return _bca_interval([group[0] for group in groups], resamples, seed)
    # The resampled mean of each group for each position at which it may be drawn.
    inner = []
    for group in groups:
        drawn = rng.integers(len(group), size=(resamples, count, len(group)))
        inner.append(np.asarray(group, float)[drawn].mean(axis=2))
    outer = rng.integers(count, size=(resamples, count))
    drawn_means = np.take_along_axis(np.stack(inner, axis=2), outer[..., None], axis=2)[..., 0].mean(axis=1)
    return percentile_interval(drawn_means)


def _bca_interval(values: Sequence[float], resamples: int, seed: int) -> Interval | None:
    from scipy import stats

    options: dict[str, Any] = dict(n_resamples=resamples, confidence_level=LEVEL)
    for method in ("BCa", "percentile"):
        rng = np.random.default_rng(seed)
        with warnings.catch_warnings():
            # An undefined BCa interval is NaN, with a warning.
            warnings.simplefilter("ignore")
            found = stats.bootstrap((np.asarray(values, float),), np.mean, method=method, random_state=rng, **options)
        low, high = found.confidence_interval
        if math.isfinite(low) and math.isfinite(high):
            return float(low), float(high)
    return None


def basic_interval(figure: float, resampled: np.ndarray) -> Interval | None:
    """The basic 95 % bootstrap interval: the percentile interval reflected at the figure; None if all figures are NaN.

    If resampling raises a figure, as it does average precision on few images, the figure is
    likely to exceed the true value by as much, and this interval corrects for that.
    """
    found = percentile_interval(resampled)
    return found and (2 * figure - found[1], 2 * figure - found[0])


def percentile_interval(resampled: np.ndarray) -> Interval | None:
    """The 95 % percentile interval of resampled figures, without NaN; None if all are NaN."""
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of p values, which controls the family-wise error rate.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def t_test_power(seeds: int, effect: float) -> float:
    """Power of the two-sided paired t test of at least 2 pairs, at the level 0.05.

    ``effect`` is the true difference divided by the standard deviation of the differences.
    """
    from scipy import stats

    freedom, shift = seeds - 1, effect * math.sqrt(seeds)
    critical = stats.t.ppf((1 + LEVEL) / 2, freedom)
    return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))


def seeds_needed(deviation: float, difference: float) -> int | None:
    """The smallest number of pairs with which the t test shows a difference with a probability of :data:`POWER`.

    Args:
        deviation: standard deviation of paired differences, above 0.
        difference: the true difference, above 0, in the same units.

    Returns:
        the number; None if it exceeds 100,000.
    """
    effect = difference / deviation
    low, high = 1, 2
    while t_test_power(high, effect) < POWER:
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if t_test_power(middle, effect) >= POWER else (middle, high)
    return high if high <= MOST_SEEDS else None


def draw_images(images: int, samples: int, seed: int = 0) -> np.ndarray:
    """How often each image occurs in each bootstrap sample of the test set, int32 (images, samples)."""
    rng = np.random.default_rng(seed)
    weights = np.empty((images, samples), np.int32)
    for sample in range(samples):
        weights[:, sample] = np.bincount(rng.integers(images, size=images), minlength=images)
    return weights
