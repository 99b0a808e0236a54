"""Summaries of arms and pairs, against numbers computed by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from smix_mm.evaluation import read_detections
from smix_mm.evaluation.average_precision import resample
from smix_mm.study.report.comparison import compare
from smix_mm.study.report.results import Result, Results, read_results
from smix_mm.study.statistics import draw_images, seeds_needed

METRIC = "pascal_voc/mAP"


def study(figures: dict[str, dict], metric: str = METRIC, **more) -> Results:
    """Results from ``{arm: {(pretraining seed, fine-tuning seed): percent}}``."""
    detector = more.pop("detector", "voc")
    runs = [
        Result(arm, outer, None if detector == "pretraining" else detector, inner, {metric: percent / 100})
        for arm, mine in figures.items()
        for (outer, inner), percent in mine.items()
    ]
    content = dict(folder=Path("none"), name="study", arms=tuple(figures), detectors=(detector,), metric=metric)
    return Results(
        **{**content, "paper": {}, "planned": (), "runs": tuple(runs), "missing": (), "problems": (), **more}
    )


def quietly(results: Results, samples: int = 10):
    return compare(results, samples, lambda line: None)


BASELINE = {(0, 0): 70.0, (0, 1): 72.0, (1, 0): 74.0, (1, 1): 74.0, (2, 0): 76.0, (2, 1): 72.0}
CUTMIX = {(0, 0): 71.0, (0, 1): 73.0, (1, 0): 76.0, (1, 1): 77.0, (2, 0): 75.0, (2, 1): 75.0}


def test_fine_tunings_are_averaged_inside_their_pretraining():
    baseline, cutmix = quietly(study(dict(baseline=BASELINE, cutmix=CUTMIX))).arms
    assert (baseline.runs, baseline.units, baseline.unit) == (6, 3, "pretraining seeds")
    # The pretrainings' means are 71, 74, 74.
    assert baseline.mean == pytest.approx(73)
    assert baseline.deviation == pytest.approx(np.sqrt(3))
    assert baseline.seeds == pytest.approx(stats.t.interval(0.95, 2, 73, 1))
    assert cutmix.mean == pytest.approx((72 + 76.5 + 75) / 3)


def test_a_pair_is_tested_on_the_differences_of_its_pretrainings():
    pair, *others = quietly(study(dict(baseline=BASELINE, cutmix=CUTMIX))).pairs
    assert not others
    differences = [1, 2.5, 1]
    assert (pair.first, pair.second, pair.runs, pair.units) == ("baseline", "cutmix", 6, 3)
    assert pair.difference == pytest.approx(1.5)
    assert pair.deviation == pytest.approx(np.std(differences, ddof=1))
    assert pair.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert pair.corrected == pair.p
    assert pair.needed == seeds_needed(pair.deviation, 0.5)
    assert pair.bootstrap[0] < 1.5 < pair.bootstrap[1]
    assert not pair.given


def test_every_pair_of_arms_is_compared_and_corrected_for():
    figures = dict(a=BASELINE, b=CUTMIX, c={seeds: value + seeds[0] + 1 for seeds, value in CUTMIX.items()})
    pairs = quietly(study(figures)).pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    ordered = sorted(pairs, key=lambda pair: pair.p)
    expected = np.maximum.accumulate([min(1, factor * pair.p) for factor, pair in zip((3, 2, 1), ordered)])
    assert [pair.corrected for pair in ordered] == pytest.approx(expected.tolist())
    assert {pair.family for pair in pairs} == {3}


def test_planned_pairs_and_exploration_are_corrected_for_apart():
    figures = dict(a=BASELINE, b=CUTMIX, c={seeds: value + seeds[0] + 1 for seeds, value in CUTMIX.items()})
    pairs = quietly(study(figures, planned=(frozenset("bc"),))).pairs
    named = [(pair.first, pair.second, pair.planned, pair.family) for pair in pairs]
    assert named == [("b", "c", True, 1), ("a", "b", False, 2), ("a", "c", False, 2)]
    assert pairs[0].corrected == pairs[0].p
    least, most = sorted(pairs[1:], key=lambda pair: pair.p)
    assert (least.corrected, most.corrected) == pytest.approx((2 * least.p, max(2 * least.p, most.p)))


def test_only_common_seeds_are_paired_and_the_others_are_named():
    short = {seeds: value for seeds, value in CUTMIX.items() if seeds not in [(2, 0), (2, 1), (1, 1)]}
    pair = quietly(study(dict(baseline=BASELINE, cutmix=short))).pairs[0]
    assert (pair.runs, pair.units) == (3, 2)
    assert pair.difference == pytest.approx((1 + 2) / 2)
    assert list(pair.left_out) == ["baseline/seed1/voc/seed1", "baseline/seed2/voc/seed0", "baseline/seed2/voc/seed1"]


def test_arms_without_a_common_seed_are_not_compared():
    pair = quietly(study(dict(a={(0, 0): 70.0}, b={(1, 0): 71.0}))).pairs[0]
    assert (pair.runs, pair.units, pair.difference, pair.p, pair.family) == (0, 0, None, None, 0)
    assert list(pair.left_out) == ["a/seed0/voc/seed0", "b/seed1/voc/seed0"]


def test_an_arm_without_results_is_still_in_its_pairs():
    comparison = quietly(study(dict(a=BASELINE, b={})))
    assert [arm.arm for arm in comparison.arms] == ["a"]
    assert comparison.pairs[0].difference is None


def test_given_checkpoints_are_compared_over_fine_tunings():
    figures = dict(a={(None, 0): 70.0, (None, 1): 72.0}, b={(None, 0): 71.0, (None, 1): 74.0})
    comparison = quietly(study(figures))
    pair = comparison.pairs[0]
    assert (pair.unit, pair.units, pair.given) == ("fine-tuning seeds", 2, True)
    assert pair.difference == pytest.approx(1.5)
    assert pair.deviation == pytest.approx(np.sqrt(0.5))
    assert comparison.arms[0].unit == "fine-tuning seeds"


def test_fine_tunings_of_a_single_pretraining_are_compared_as_those_of_given_backbones():
    figures = dict(a={(0, 0): 70.0, (0, 1): 72.0}, b={(0, 0): 71.0, (0, 1): 74.0})
    pair = quietly(study(figures)).pairs[0]
    assert (pair.unit, pair.units, pair.given) == ("fine-tuning seeds", 2, True)


def test_pretrainings_are_averaged_against_a_given_checkpoint():
    given = {(None, 0): 70.0, (None, 1): 71.0, (None, 2): 72.0}
    pair = quietly(study(dict(given=given, baseline=BASELINE))).pairs[0]
    # By fine-tuning seed the baseline has (70 + 74 + 76) / 3 and (72 + 74 + 72) / 3.
    assert pair.difference == pytest.approx(((220 / 3 - 70) + (218 / 3 - 71)) / 2)
    assert (pair.unit, pair.units, pair.given) == ("fine-tuning seeds", 2, True)
    assert list(pair.left_out) == ["given/given/voc/seed2"]


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_differences_without_spread_have_no_interval_and_are_not_corrected_for(shift):
    same = {seeds: value + shift for seeds, value in BASELINE.items()}
    pair = quietly(study(dict(a=BASELINE, b=same))).pairs[0]
    assert pair.difference == pytest.approx(shift)
    assert (pair.seeds, pair.bootstrap, pair.p, pair.corrected, pair.needed, pair.family) == (None,) * 5 + (0,)


@pytest.mark.parametrize("metric", ["accuracy/top1", "single-label/f1-score", "multi-label/mAP", "retrieval/Recall@1"])
def test_pretrainings_alone_are_compared_by_a_metric_that_mmpretrain_gives_in_percent(metric):
    figures = dict(a={(0, None): 8000.0, (1, None): 8100.0}, b={(0, None): 8200.0, (1, None): 8200.0})
    comparison = quietly(study(figures, metric, detector="pretraining"))
    assert comparison.arms[0].mean == pytest.approx(80.5)
    pair = comparison.pairs[0]
    assert (pair.difference, pair.unit, pair.given) == (pytest.approx(1.5), "pretraining seeds", False)
    assert comparison.problems == []


def test_the_interval_over_test_images_is_that_of_paired_samples(whole_study):
    results = read_results(whole_study)
    comparison = quietly(results, samples=200)
    metric = results.metric
    weights = draw_images(24, 200)

    def resampled(arm: str) -> np.ndarray:
        folders = sorted((whole_study / arm).glob("seed*/voc/seed*"))
        return 100 * np.mean([resample(read_detections(one / "detections.npz"), metric, weights) for one in folders], 0)

    pair = next(pair for pair in comparison.pairs if (pair.detector, pair.second) == ("voc", "cutmix"))
    differences = resampled("cutmix") - resampled("baseline")
    assert pair.images == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    arm = next(arm for arm in comparison.arms if (arm.detector, arm.arm) == ("voc", "cutmix"))
    low, high = np.quantile(resampled("cutmix"), [0.025, 0.975])
    assert arm.images == pytest.approx((2 * arm.mean - high, 2 * arm.mean - low))
    assert comparison.problems == []


def test_a_metric_that_predictions_do_not_give_has_no_interval_over_images():
    comparison = quietly(study(dict(baseline=BASELINE, cutmix=CUTMIX)))
    assert comparison.pairs[0].images is None
    assert comparison.problems == [
        "pascal_voc/mAP cannot be computed from stored predictions, so there is no interval over test images"
    ]
