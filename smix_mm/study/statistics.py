"""The statistics of a comparison: intervals, tests, and how many seeds a difference needs."""

from __future__ import annotations

import math
import warnings
from typing import Sequence, Tuple

import numpy as np

LEVEL = 0.95
POWER = 0.8
MOST_SEEDS = 100_000

Interval = Tuple[float, float]


def standard_deviation(values: Sequence[float]) -> float | None:
    """With n - 1 in the denominator; None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def has_spread(values: Sequence[float]) -> bool:
    """Whether there are two values that differ by more than the rounding of floats."""
    return len(values) > 1 and float(np.ptp(values)) > 1e-12 * max(1.0, float(np.abs(values).max()))


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's interval for the mean of independent values; None where they have no spread to go by."""
    from scipy import stats

    if not has_spread(values):
        return None
    deviation = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    margin = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * deviation
    center = float(np.mean(values))
    return center - margin, center + margin


def t_test(differences: Sequence[float]) -> float | None:
    """Two-sided p of paired differences against zero; None where they have no spread to go by."""
    from scipy import stats

    return float(stats.ttest_1samp(differences, 0).pvalue) if has_spread(differences) else None


def bootstrap_interval(
    groups: Sequence[Sequence[float]], level: float = LEVEL, resamples: int = 9999, seed: int = 0
) -> Interval | None:
    """Bootstrap interval for the mean over groups of the mean inside each.

    Where every group is a single value, this is scipy's BCa interval (its percentile interval
    where BCa is not defined). Otherwise groups are drawn with replacement, then values inside each
    drawn group, and the interval is that of the percentiles.

    Args:
        groups: the differences, by pretraining seed; inside, by fine-tuning seed.
        level: of confidence.
        resamples: how many.
        seed: of the resampling; equal input gives the equal interval.

    Returns:
        the interval; None for fewer than three groups, or where nothing differs. With few groups it
        is too narrow: of three there are only ten different resamples.
    """
    means = [float(np.mean(group)) for group in groups]
    if len(groups) < 3 or not has_spread([value for group in groups for value in group]):
        return None
    if all(len(group) == 1 for group in groups):
        return _bca_interval(means, level, resamples, seed)
    rng = np.random.default_rng(seed)
    count = len(groups)
    # Of each group, what it would give at each of the places that it may be drawn for.
    inner = []
    for group in groups:
        drawn = rng.integers(len(group), size=(resamples, count, len(group)))
        inner.append(np.asarray(group, float)[drawn].mean(axis=2))
    outer = rng.integers(count, size=(resamples, count))
    drawn_means = np.take_along_axis(np.stack(inner, axis=2), outer[..., None], axis=2)[..., 0].mean(axis=1)
    return percentile_interval(drawn_means, level)


def _bca_interval(values: Sequence[float], level: float, resamples: int, seed: int) -> Interval | None:
    from scipy import stats

    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            # A BCa that is not defined is warned about, and is NaN.
            warnings.simplefilter("ignore")
            found = stats.bootstrap(
                (np.asarray(values, float),),
                np.mean,
                n_resamples=resamples,
                confidence_level=level,
                method=method,
                random_state=np.random.default_rng(seed),
            ).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            return float(found.low), float(found.high)
    return None


def basic_interval(figure: float, resampled: np.ndarray, level: float = LEVEL) -> Interval | None:
    """The percentile interval mirrored at the figure itself; None where no resampled figure is a number.

    If resampling moves a figure up, as it does average precision on few images, the figure is
    likely to lie above the truth by as much, and this interval allows for that.
    """
    found = percentile_interval(resampled, level)
    return found and (2 * figure - found[1], 2 * figure - found[0])


def percentile_interval(resampled: np.ndarray, level: float = LEVEL) -> Interval | None:
    """The middle part of resampled figures; None where none is a number."""
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p values that may each be compared with 0.05, whichever of them is looked at.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def t_test_power(seeds: int, effect: float, alpha: float = 1 - LEVEL) -> float:
    """Chance that the two-sided paired t test shows a difference.

    Args:
        seeds: the number n of pairs, at least 2.
        effect: true difference over the standard deviation of the differences.
        alpha: level of the test.
    """
    from scipy import stats

    freedom, shift = seeds - 1, effect * math.sqrt(seeds)
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))


def seeds_needed(deviation: float, difference: float, power: float = POWER, alpha: float = 1 - LEVEL) -> int | None:
    """The smallest number of pairs whose t test shows ``difference`` with a chance of ``power``.

    Args:
        deviation: standard deviation of paired differences, above 0.
        difference: the true difference, above 0, in the same units.
        power: wanted chance.
        alpha: level of the two-sided test.

    Returns:
        the number; None where it is above 100,000.
    """
    effect = difference / deviation
    low, high = 1, 2
    while t_test_power(high, effect, alpha) < power:
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if t_test_power(middle, effect, alpha) >= power else (middle, high)
    return high if high <= MOST_SEEDS else None


def draw_images(images: int, samples: int, seed: int = 0) -> np.ndarray:
    """How often each image is in each bootstrap sample of the test set, int32 (images, samples)."""
    rng = np.random.default_rng(seed)
    weights = np.empty((images, samples), np.int32)
    for sample in range(samples):
        weights[:, sample] = np.bincount(rng.integers(images, size=images), minlength=images)
    return weights
