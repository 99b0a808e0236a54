"""Statistics against numbers that are known."""

import math

import numpy as np
import pytest
from scipy import stats

from smix_mm.study.statistics import (
    bootstrap_interval,
    draw_images,
    has_spread,
    holm,
    percentile_interval,
    seeds_needed,
    standard_deviation,
    t_interval,
    t_test,
    t_test_power,
)

# Hours of sleep gained with two drugs by the same ten patients (Cushny and Peebles 1905), from "Student" 1908.
FIRST = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SECOND = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_the_paired_t_test_gives_the_known_figures_of_students_sleep_data():
    differences = FIRST - SECOND
    assert t_test(differences) == pytest.approx(0.002833, abs=5e-7)
    assert t_interval(differences) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert standard_deviation(differences) == pytest.approx(1.2299955, abs=5e-8)


def test_the_t_interval_of_three_values_equals_that_by_hand():
    # mean 2, deviation 1, and 4.302653 is Student's factor for two degrees of freedom.
    margin = 4.302653 / math.sqrt(3)
    assert t_interval([1, 2, 3]) == pytest.approx((2 - margin, 2 + margin), abs=1e-6)


@pytest.mark.parametrize("values", [[], [1.5], [0.1, 0.1], [0.3 - 0.1, 0.2, 0.1 + 0.1]])
def test_values_without_spread_have_no_interval_and_no_p(values):
    assert not has_spread(values)
    assert t_interval(values) is None
    assert t_test(values) is None
    assert bootstrap_interval([[value] for value in values]) is None


def test_one_value_has_no_deviation():
    assert standard_deviation([3.0]) is None
    assert standard_deviation([3.0, 3.0]) == 0


@pytest.mark.parametrize(
    "given, corrected",
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holms_correction_of_known_examples(given, corrected):
    assert holm(given) == pytest.approx(corrected)


@pytest.mark.parametrize("effect, seeds", [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)])
def test_seeds_needed_for_cohens_effects_are_the_tabled_ones(effect, seeds):
    assert seeds_needed(1, effect) == seeds_needed(10, 10 * effect) == seeds
    assert t_test_power(seeds, effect) >= 0.8 > t_test_power(seeds - 1, effect)


def test_the_power_of_no_difference_is_the_level_of_the_test():
    assert t_test_power(5, 0) == pytest.approx(0.05)
    assert t_test_power(34, 0.5) == pytest.approx(0.8077775, abs=1e-6)


def test_the_smallest_number_of_seeds_is_two_and_too_many_are_not_named():
    assert seeds_needed(0.001, 10) == 2
    assert seeds_needed(1, 0.005) is None
    assert seeds_needed(1, 0.01) == 78491


def test_single_values_have_scipys_bca_interval():
    values = np.random.default_rng(1).exponential(size=12)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", random_state=np.random.default_rng(0))
    assert bootstrap_interval([[value] for value in values]) == pytest.approx(tuple(theirs.confidence_interval))


def test_where_bca_is_not_defined_the_percentiles_serve():
    interval = bootstrap_interval([[0.0], [0.0], [1.0]])
    assert interval is not None
    assert 0 <= interval[0] < interval[1] <= 1


def test_nested_values_vary_between_and_inside_groups():
    inside = bootstrap_interval([[-1.0, 1.0]] * 4)
    between = bootstrap_interval([[-1.0, -1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])
    # Either way eight or four values of -1 or 1 are drawn, whose means reach far with both.
    assert inside == pytest.approx((-0.75, 0.75))
    assert between == pytest.approx((-1, 1))


def test_the_nested_bootstrap_is_repeated_to_the_last_bit_and_moves_with_its_seed():
    groups = np.random.default_rng(2).normal(size=(5, 3)).tolist()
    assert bootstrap_interval(groups) == bootstrap_interval(groups)
    assert bootstrap_interval(groups) != bootstrap_interval(groups, seed=1)


def test_the_nested_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = pooled = 0
    for _ in range(400):
        groups = rng.normal(0, 1, (12, 1)) + rng.normal(0, 0.5, (12, 3))
        low, high = bootstrap_interval(groups.tolist(), resamples=500)
        covered += low <= 0 <= high
        low, high = bootstrap_interval([[value] for value in groups.ravel()], resamples=500)
        pooled += low <= 0 <= high
    assert 0.89 <= covered / 400 <= 0.97
    # Fine-tunings of one pretraining taken as independent evidence make the interval too narrow.
    assert pooled / 400 < 0.85


def test_the_percentile_interval_leaves_out_samples_without_a_figure():
    values = np.append(np.arange(101.0), [np.nan] * 50)
    assert percentile_interval(values) == pytest.approx((2.5, 97.5))
    assert percentile_interval(np.array([np.nan])) is None


def test_every_sample_has_as_many_images_as_the_test_set():
    weights = draw_images(30, 200)
    assert weights.shape == (30, 200)
    assert set(weights.sum(axis=0).tolist()) == {30}
    assert weights.mean(axis=1) == pytest.approx(np.ones(30), abs=0.3)
    assert (weights == draw_images(30, 200)).all()
