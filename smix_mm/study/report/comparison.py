"""The numbers of the report: arms and pairs of arms."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from ...evaluation.average_precision import DEFINITIONS
from ..run import PRETRAINING
from ..statistics import (
    Interval,
    Nested,
    basic_interval,
    bootstrap_interval,
    holm,
    independent_unit,
    nested_mean,
    percentile_interval,
    seeds_needed,
    standard_deviation,
    subtract_nested,
    t_interval,
    t_test,
    unit_groups,
    unit_means,
)
from .results import Result, Results, resample_runs


@dataclass(frozen=True)
class ArmSummary:
    """One arm with one detector, in percent.

    Attributes:
        arm, detector: their names.
        runs: number of runs.
        unit: the independent unit, see :mod:`smix_mm.study.statistics`.
        units: number of independent units.
        figures: each run's figure.
        mean: over units.
        deviation: standard deviation of the units, or None.
        seeds: t interval over units, or None.
        images: basic bootstrap interval over resampled test images, with these runs, or None.
        paper: the figure of a paper, or None.
        means: of every figure that all runs have, including those of classes, by name.
        deviations: standard deviations of the same figures.
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
        first, second, detector: their names; ``first`` is the earlier arm of the study.
        runs: number of pairs of runs.
        left_out: names of runs whose seeds the other arm does not have.
        unit: the independent unit, see :mod:`smix_mm.study.statistics`.
        units: number of independent units.
        given: whether the comparison is limited to these backbones: with checkpoints or a single pretraining.
        difference: mean over units, or None without a common seed.
        deviation: standard deviation of the units' differences, or None.
        seeds: t interval over units, or None.
        bootstrap: bootstrap interval over units, or None.
        images: percentile interval over resampled test images, the same for both arms, or None.
        p: of the paired t test, or None.
        planned: whether the study plans this pair; None if it plans no pairs.
        corrected: p after Holm's correction over the family of the pair, or None. The family is all pairs of the
            report that have a p and are planned, or not, like this one.
        family: number of pairs in the family.
        needed: number of seeds to show a difference of ``wanted`` points, or None.
        wanted: a difference in points.
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
    """A whole study: its arms, its pairs, and a sentence for each problem with stored predictions."""

    arms: Sequence[ArmSummary]
    pairs: Sequence[PairSummary]
    problems: Sequence[str]


def compare(results: Results, wanted: float, samples: int, log: Callable[[str], None]) -> Comparison:
    """Summarise every arm and every pair of arms.

    Args:
        results: of the study.
        wanted: a difference in points; the number of seeds to show it is estimated.
        samples: number of bootstrap samples of the test images.
        log: called with each line of progress.
    """
    arms, pairs, problems = [], [], []
    for detector in results.detectors:
        runs = [run for run in results.runs if run.kind == detector]
        resampled: Mapping[str, np.ndarray] = {}
        if detector != PRETRAINING:
            resampled, found = resample_runs(results.folder, runs, results.metric, samples, log)
            problems += found
        of_arm = {arm: [run for run in runs if run.arm == arm] for arm in results.arms}
        arms += [_arm(results, mine, resampled) for mine in of_arm.values() if mine]
        pairs += [
            _pair(results, detector, of_arm[first], of_arm[second], (first, second), resampled, wanted)
            for first, second in combinations(results.arms, 2)
        ]
    return Comparison(arms, _corrected(pairs), problems)


def scale(metric: str) -> float:
    """Factor from a metric's units to percent; accuracies are in percent already."""
    return 1 if metric.startswith("accuracy/") else 100


def nest(runs: Iterable[Result], figures: Mapping[str, Any]) -> Nested:
    """Figures of one arm and detector by their seeds, given by the runs' names."""
    nested: Nested = {}
    for run in runs:
        nested.setdefault(run.pretraining_seed, {})[run.finetuning_seed] = figures[run.name]
    return nested


def nested_figures(runs: Sequence[Result], metric: str) -> Nested:
    """One metric of runs of one arm and detector, in percent."""
    return nest(runs, {run.name: scale(metric) * run.metrics[metric] for run in runs})


def class_figures(arm: ArmSummary, metric: str) -> dict[str, str]:
    """The name in ``arm.means`` of each class's figure, by class."""
    definition = DEFINITIONS.get(metric)
    prefix = f"{definition.classwise}/" if definition and definition.classwise else None
    return {name[len(prefix) :]: name for name in arm.means if name.startswith(prefix)} if prefix else {}


def _arm(results: Results, runs: Sequence[Result], resampled: Mapping[str, np.ndarray]) -> ArmSummary:
    nested = nested_figures(runs, results.metric)
    common = set.intersection(*(set(run.metrics) for run in runs))
    every = {metric: nested_figures(runs, metric) for metric in sorted(common)}
    paper = results.paper.get(runs[0].arm)
    means = unit_means(nested)
    images = _over_images(results.metric, runs, resampled, lambda figures: nested_mean(nest(runs, figures)))
    return ArmSummary(
        arm=runs[0].arm,
        detector=runs[0].kind,
        runs=len(runs),
        unit=independent_unit(nested),
        units=len(means),
        figures=[figure for group in unit_groups(nested) for figure in group],
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
    first: Sequence[Result],
    second: Sequence[Result],
    names: tuple[str, str],
    resampled: Mapping[str, np.ndarray],
    wanted: float,
) -> PairSummary:
    nested = subtract_nested(nested_figures(second, results.metric), nested_figures(first, results.metric))
    means = unit_means(nested)
    sides = [[run for run in side if _is_used(run, nested)] for side in (second, first)]
    interval, deviation = t_interval(means), standard_deviation(means)
    images = _over_images(
        results.metric,
        [*sides[0], *sides[1]],
        resampled,
        lambda figures: nested_mean(subtract_nested(*(nest(side, figures) for side in sides))),
    )
    return PairSummary(
        first=names[0],
        second=names[1],
        detector=detector,
        runs=sum(map(len, nested.values())),
        left_out=[run.name for run in (*first, *second) if not _is_used(run, nested)],
        unit=independent_unit(nested),
        units=len(means),
        given=detector != PRETRAINING and (None in nested or len(nested) == 1),
        difference=float(np.mean(means)) if means else None,
        deviation=deviation,
        seeds=interval,
        bootstrap=bootstrap_interval(unit_groups(nested)) if interval else None,
        images=images if images is None else percentile_interval(images),
        p=t_test(means),
        planned=frozenset(names) in results.planned if results.planned else None,
        corrected=None,
        family=0,
        needed=seeds_needed(deviation, wanted) if interval and deviation else None,
        wanted=wanted,
    )


def _is_used(run: Result, differences: Nested) -> bool:
    return any(run.finetuning_seed in differences.get(seed, {}) for seed in (run.pretraining_seed, None))


def _over_images(
    metric: str,
    runs: Sequence[Result],
    resampled: Mapping[str, np.ndarray],
    combine: Callable[[Mapping[str, np.ndarray]], np.ndarray],
) -> np.ndarray | None:
    """``combine`` of the runs' resampled figures in percent, or None if a run has none."""
    if not runs or any(run.name not in resampled for run in runs):
        return None
    return combine({run.name: scale(metric) * resampled[run.name] for run in runs})


def _corrected(pairs: Sequence[PairSummary]) -> list[PairSummary]:
    """The pairs with Holm's correction over each family, planned ones first."""
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
