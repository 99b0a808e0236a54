"""Arms and pairs of arms, in numbers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import combinations
from typing import Callable, Mapping, Sequence

import numpy as np

from ...evaluation.average_precision import DEFINITIONS
from ..statistics import (
    Interval,
    basic_interval,
    bootstrap_interval,
    holm,
    percentile_interval,
    seeds_needed,
    standard_deviation,
    t_interval,
    t_test,
)
from .images import resample_runs
from .nesting import Nested, count, groups, nest, nested_mean, subtract, unit, unit_means
from .results import PRETRAINING, Results, Run


@dataclass(frozen=True)
class ArmSummary:
    """One arm with one detector, in percent.

    Attributes:
        arm, detector: which.
        runs: how many there are.
        unit: what the independent unit is, see :mod:`.nesting`.
        units: how many there are.
        figures: each run's figure.
        mean: over units.
        deviation: standard deviation of the units, or None.
        seeds: t interval over units, or None.
        images: basic interval over resampled test images, with these runs, or None.
        paper: what a paper reports, or None.
        means: of every figure that all runs have, classes' too.
        deviations: of the same.
    """

    arm: str
    detector: str
    runs: int
    unit: str
    units: int
    figures: Sequence[float]
    mean: float
    deviation: float | None
    seeds: Interval | None
    images: Interval | None
    paper: float | None
    means: Mapping[str, float]
    deviations: Mapping[str, float | None]


@dataclass(frozen=True)
class PairSummary:
    """Two arms with one detector: ``second`` less ``first``, in points of percent, over their common seeds.

    Attributes:
        first, second, detector: which; ``first`` is the earlier arm of the study.
        runs: how many pairs of runs there are.
        left_out: names of runs whose seeds the other arm does not have.
        unit: what the independent unit is, see :mod:`.nesting`.
        units: how many there are.
        given: whether nothing can be said about another pretraining.
        difference: mean over units, or None where no seed is common.
        deviation: standard deviation of the units' differences, or None.
        seeds: t interval over units, or None.
        bootstrap: bootstrap interval over units, or None.
        images: percentile interval over resampled test images, the same for both, or None.
        p: of the paired t test, or None.
        planned: whether the study was made for this pair; None where it names no pairs.
        corrected: p after Holm's correction over the family of the pair, or None: all pairs of the
            report that have a p and are planned, or not, as this one.
        family: how many these are.
        needed: seeds that would show ``wanted`` points, or None.
        wanted: the difference that one would like to see.
    """

    first: str
    second: str
    detector: str
    runs: int
    left_out: Sequence[str]
    unit: str
    units: int
    given: bool
    difference: float | None
    deviation: float | None
    seeds: Interval | None
    bootstrap: Interval | None
    images: Interval | None
    p: float | None
    planned: bool | None
    corrected: float | None
    family: int
    needed: int | None
    wanted: float


@dataclass(frozen=True)
class Comparison:
    """A whole study: its arms, its pairs, and what was found wrong while comparing."""

    arms: Sequence[ArmSummary]
    pairs: Sequence[PairSummary]
    problems: Sequence[str]


def compare(results: Results, wanted: float, samples: int, say: Callable[[str], None]) -> Comparison:
    """Summarise every arm and every pair of arms.

    Args:
        results: of the study.
        wanted: points of difference that one would like to see.
        samples: of the test images.
        say: is told how far it is.
    """
    arms, pairs, problems = [], [], []
    for detector in results.detectors:
        runs = [run for run in results.runs if run.detector == detector]
        resampled: Mapping[str, np.ndarray] = {}
        if detector != PRETRAINING:
            resampled, found = resample_runs(results.folder, runs, results.metric, samples, say)
            problems += found
        of_arm = {arm: [run for run in runs if run.arm == arm] for arm in results.arms}
        arms += [_arm(results, mine, resampled) for mine in of_arm.values() if mine]
        pairs += [
            _pair(results, detector, of_arm[first], of_arm[second], (first, second), resampled, wanted)
            for first, second in combinations(results.arms, 2)
        ]
    return Comparison(arms, _corrected(pairs), problems)


def scale(metric: str) -> float:
    """From a metric's units to percent; classification accuracies are in percent already."""
    return 1 if metric.startswith("accuracy/") else 100


def nested_figures(runs: Sequence[Run], metric: str) -> Nested:
    """One figure of runs of one arm and detector, in percent."""
    return nest(runs, {run.name: scale(metric) * run.metrics[metric] for run in runs})


def class_figures(arm: ArmSummary, metric: str) -> dict[str, str]:
    """The names in ``arm.means`` of each class' figure, by class."""
    definition = DEFINITIONS.get(metric)
    prefix = f"{definition.classwise}/" if definition and definition.classwise else None
    return {name[len(prefix) :]: name for name in arm.means if name.startswith(prefix)} if prefix else {}


def _arm(results: Results, runs: Sequence[Run], resampled: Mapping[str, np.ndarray]) -> ArmSummary:
    nested = nested_figures(runs, results.metric)
    common = set.intersection(*(set(run.metrics) for run in runs))
    every = {metric: nested_figures(runs, metric) for metric in sorted(common)}
    paper = results.paper.get(runs[0].arm)
    means = unit_means(nested)
    images = _over_images(results.metric, runs, resampled, lambda figures: nested_mean(nest(runs, figures)))
    return ArmSummary(
        arm=runs[0].arm,
        detector=runs[0].detector,
        runs=len(runs),
        unit=unit(nested),
        units=len(means),
        figures=[figure for group in groups(nested) for figure in group],
        mean=float(nested_mean(nested)),
        deviation=standard_deviation(means),
        seeds=t_interval(means),
        images=images if images is None else basic_interval(float(nested_mean(nested)), images),
        paper=None if paper is None else scale(results.metric) * paper,
        means={metric: float(nested_mean(figures)) for metric, figures in every.items()},
        deviations={metric: standard_deviation(unit_means(figures)) for metric, figures in every.items()},
    )


def _pair(
    results: Results,
    detector: str,
    first: Sequence[Run],
    second: Sequence[Run],
    names: tuple[str, str],
    resampled: Mapping[str, np.ndarray],
    wanted: float,
) -> PairSummary:
    nested = subtract(nested_figures(second, results.metric), nested_figures(first, results.metric))
    means = unit_means(nested)
    sides = [[run for run in side if _is_used(run, nested)] for side in (second, first)]
    interval, deviation = t_interval(means), standard_deviation(means)
    images = _over_images(
        results.metric,
        [*sides[0], *sides[1]],
        resampled,
        lambda figures: nested_mean(subtract(*(nest(side, figures) for side in sides))),
    )
    return PairSummary(
        first=names[0],
        second=names[1],
        detector=detector,
        runs=count(nested),
        left_out=[run.name for run in (*first, *second) if not _is_used(run, nested)],
        unit=unit(nested),
        units=len(means),
        given=detector != PRETRAINING and (None in nested or len(nested) == 1),
        difference=float(np.mean(means)) if means else None,
        deviation=deviation,
        seeds=interval,
        bootstrap=bootstrap_interval(groups(nested)) if interval else None,
        images=images if images is None else percentile_interval(images),
        p=t_test(means),
        planned=frozenset(names) in results.planned if results.planned else None,
        corrected=None,
        family=0,
        needed=seeds_needed(deviation, wanted) if interval and deviation else None,
        wanted=wanted,
    )


def _is_used(run: Run, differences: Nested) -> bool:
    return any(run.finetuning_seed in differences.get(seed, {}) for seed in (run.pretraining_seed, None))


def _over_images(
    metric: str,
    runs: Sequence[Run],
    resampled: Mapping[str, np.ndarray],
    combine: Callable[[Mapping[str, np.ndarray]], np.ndarray],
) -> np.ndarray | None:
    """What ``combine`` makes of the runs' resampled figures, where all runs have them."""
    if not runs or any(run.name not in resampled for run in runs):
        return None
    return combine({run.name: scale(metric) * resampled[run.name] for run in runs})


def _corrected(pairs: Sequence[PairSummary]) -> list[PairSummary]:
    """The same with Holm's correction over those of each family that have a p."""
    corrected: dict[int, float] = {}
    sizes: dict[bool | None, int] = {}
    for planned in {pair.planned for pair in pairs}:
        tested = [pair for pair in pairs if pair.planned is planned and pair.p is not None]
        corrected |= zip(map(id, tested), holm([pair.p for pair in tested if pair.p is not None]))
        sizes[planned] = len(tested)
    return [
        dataclasses.replace(pair, corrected=corrected.get(id(pair)), family=sizes[pair.planned])
        for pair in sorted(pairs, key=lambda pair: pair.planned is False)
    ]
