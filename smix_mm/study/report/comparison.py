"""The numbers of the report: arms and pairs of arms."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from ...evaluation.average_precision import DEFINITIONS
from .. import statistics as stats
from ..run import PRETRAINING
from ..statistics import EFFECT, Interval, Nested
from .results import Resampled, Result, Results, resample_runs

_IN_PERCENT = ("accuracy/", "single-label/", "multi-label/", "retrieval/")


@dataclass(frozen=True)
class _Summary:
    """What arms and pairs have in common; figures are in percent, differences in points of percent."""

    detector: str  # its name, or 'pretraining'
    runs: int  # number of runs, or of pairs of runs
    unit: str  # the independent unit, see smix_mm.study.statistics
    units: int  # number of independent units
    deviation: float | None  # standard deviation over units
    seeds: Interval | None  # t interval over units
    # Bootstrap interval over resampled test images, the same images for all runs: basic for an arm, percentile for a
    # pair. None without stored predictions, and if all samples give one figure.
    images: Interval | None


@dataclass(frozen=True)
class ArmSummary(_Summary):
    """One arm with one detector."""

    arm: str
    figures: Sequence[float]  # each run's
    mean: float  # over units
    detections: int | None  # number of predicted boxes of all runs; None without stored predictions
    paper: float | None  # the figure of a paper
    means: Mapping[str, float]  # of every figure that all runs have, including those of classes, by name
    deviations: Mapping[str, float | None]  # standard deviations of the same figures


@dataclass(frozen=True)
class PairSummary(_Summary):
    """Two arms with one detector: ``second`` less ``first``, the earlier arm of the study, over their common seeds."""

    first: str
    second: str
    left_out: Sequence[str]  # names of runs whose seeds the other arm does not have
    given: bool  # whether the comparison is limited to these backbones: with checkpoints or a single pretraining
    difference: float | None  # mean over units; None without a common seed
    bootstrap: Interval | None  # over units
    p: float | None  # of the paired t test
    planned: bool | None  # whether the study plans this pair; None if it plans no pairs
    corrected: float | None  # p after Holm's correction over the family
    family: int  # number of pairs of the report that have a p and are planned, or not, like this one
    needed: int | None  # number of seeds to show a difference of EFFECT points


@dataclass(frozen=True)
class Comparison:
    """A whole study: its arms, its pairs, and a sentence for each problem with stored predictions."""

    arms: Sequence[ArmSummary]
    pairs: Sequence[PairSummary]
    problems: Sequence[str]


def compare(results: Results, samples: int, log: Callable[[str], None]) -> Comparison:
    """Summarise every arm and every pair of arms, with a number of bootstrap samples of the test images."""
    arms, pairs, problems = [], [], []
    for detector in results.detectors:
        runs = [run for run in results.runs if run.kind == detector]
        resampled: Mapping[str, Resampled] = {}
        if detector != PRETRAINING:
            resampled, found = resample_runs(results.folder, runs, results.metric, samples, log)
            problems += found
        of_arm = {arm: [run for run in runs if run.arm == arm] for arm in results.arms}
        arms += [_arm(results, mine, resampled) for mine in of_arm.values() if mine]
        for first, second in combinations(results.arms, 2):
            names = dict(detector=detector, first=first, second=second)
            pairs.append(_pair(results, names, of_arm[first], of_arm[second], resampled))
    return Comparison(arms, _corrected(pairs), problems)


def scale(metric: str) -> float:
    """Factor from a metric's units to percent; mmpretrain's metrics are in percent already."""
    return 1 if metric.startswith(_IN_PERCENT) else 100


def metric_title(metric: str) -> str:
    """Such as ``AP50, VOC 11-point``."""
    return DEFINITIONS[metric].title if metric in DEFINITIONS else metric.rpartition("/")[2]


def nest(runs: Iterable[Result], figures: Mapping[str, Any]) -> Nested:
    """Figures of one arm and detector by their seeds, given by the runs' names."""
    nested: Nested = {}
    for run in runs:
        nested.setdefault(run.pretraining_seed, {})[run.finetuning_seed] = figures[run.name]
    return nested


def nested_figures(runs: Sequence[Result], metric: str) -> Nested:
    """One metric of one arm's runs with one detector, in percent."""
    return nest(runs, {run.name: scale(metric) * run.metrics[metric] for run in runs})


def class_figures(arm: ArmSummary, metric: str) -> dict[str, str]:
    """The name in ``arm.means`` of each class's figure, by class."""
    definition = DEFINITIONS.get(metric)
    prefix = f"{definition.classwise}/" if definition and definition.classwise else None
    return {name[len(prefix) :]: name for name in arm.means if name.startswith(prefix)} if prefix else {}


def _over_units(nested: Nested) -> dict[str, Any]:
    """The attributes of a summary that follow from its figures."""
    means = stats.unit_means(nested)
    found = dict(unit=stats.independent_unit(nested), units=len(means), runs=sum(map(len, nested.values())))
    return dict(found, deviation=stats.standard_deviation(means), seeds=stats.t_interval(means))


def _arm(results: Results, runs: Sequence[Result], resampled: Mapping[str, Resampled]) -> ArmSummary:
    nested = nested_figures(runs, results.metric)
    common = set.intersection(*(set(run.metrics) for run in runs))
    every = {metric: nested_figures(runs, metric) for metric in sorted(common)}
    paper = results.paper.get(runs[0].arm)
    mean = float(stats.nested_mean(nested))
    images = _over_images(results.metric, runs, resampled, lambda figures: stats.nested_mean(nest(runs, figures)))
    stored = [resampled[run.name].detections for run in runs if run.name in resampled]
    return ArmSummary(
        arm=runs[0].arm,
        detector=runs[0].kind,
        **_over_units(nested),
        figures=[figure for group in stats.unit_groups(nested) for figure in group],
        mean=mean,
        detections=sum(stored) if len(stored) == len(runs) else None,
        images=images if images is None else stats.basic_interval(mean, images),
        paper=None if paper is None else scale(results.metric) * paper,
        means={metric: float(stats.nested_mean(figures)) for metric, figures in every.items()},
        deviations={metric: stats.standard_deviation(stats.unit_means(figures)) for metric, figures in every.items()},
    )


def _pair(
    results: Results,
    names: Mapping[str, Any],
    first: Sequence[Result],
    second: Sequence[Result],
    resampled: Mapping[str, Resampled],
) -> PairSummary:
    nested = stats.subtract_nested(*(nested_figures(runs, results.metric) for runs in (second, first)))
    found, means = _over_units(nested), stats.unit_means(nested)

    def is_used(run: Result) -> bool:
        return any(run.finetuning_seed in nested.get(seed, {}) for seed in (run.pretraining_seed, None))

    def combine(figures: Mapping[str, np.ndarray]) -> np.ndarray:
        return stats.nested_mean(
            stats.subtract_nested(*(nest(filter(is_used, runs), figures) for runs in (second, first)))
        )

    images = _over_images(results.metric, [*filter(is_used, (*second, *first))], resampled, combine)
    return PairSummary(
        **names,
        **found,
        left_out=[run.name for run in (*first, *second) if not is_used(run)],
        given=names["detector"] != PRETRAINING and (None in nested or len(nested) == 1),
        difference=float(np.mean(means)) if means else None,
        bootstrap=stats.bootstrap_interval(stats.unit_groups(nested)) if found["seeds"] else None,
        images=images if images is None else stats.percentile_interval(images),
        p=stats.t_test(means),
        planned=frozenset((names["first"], names["second"])) in results.planned if results.planned else None,
        corrected=None,
        family=0,
        needed=stats.seeds_needed(found["deviation"], EFFECT) if found["seeds"] and found["deviation"] else None,
    )


def _over_images(
    metric: str,
    runs: Sequence[Result],
    resampled: Mapping[str, Resampled],
    combine: Callable[[Mapping[str, np.ndarray]], np.ndarray],
) -> np.ndarray | None:
    """``combine`` of the runs' resampled figures in percent; None if a run has none, or they do not differ.

    Figures that do not differ show nothing about other images: a detector without detections always has 0.
    """
    if not runs or any(run.name not in resampled for run in runs):
        return None
    figures = combine({run.name: scale(metric) * resampled[run.name].figures for run in runs})
    return figures if stats.has_spread(figures[~np.isnan(figures)]) else None


def _corrected(pairs: Sequence[PairSummary]) -> list[PairSummary]:
    """The pairs with Holm's correction over each family, planned ones first."""
    corrected: dict[int, float] = {}
    sizes: dict[bool | None, int] = {}
    for planned in {pair.planned for pair in pairs}:
        tested = [pair for pair in pairs if pair.planned is planned and pair.p is not None]
        corrected |= zip(map(id, tested), stats.holm([pair.p for pair in tested if pair.p is not None]))
        sizes[planned] = len(tested)
    return [
        dataclasses.replace(pair, corrected=corrected.get(id(pair)), family=sizes[pair.planned])
        for pair in sorted(pairs, key=lambda pair: pair.planned is False)
    ]
