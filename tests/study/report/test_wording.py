"""Every verdict, word for word."""

import pytest

from smix_mm.study.report.comparison import PairSummary
from smix_mm.study.report.content import interval, is_shown, probability, signed, verdict


def pair(**changes) -> PairSummary:
    """Shown by the seeds and by the images, unless changed."""
    values = dict(
        first="baseline",
        second="cutmix",
        detector="voc",
        runs=6,
        left_out=[],
        unit="pretraining seeds",
        units=3,
        given=False,
        difference=1.5,
        deviation=0.2,
        seeds=(1.0, 2.0),
        bootstrap=(1.2, 1.8),
        images=(0.5, 2.5),
        p=0.006,
        planned=None,
        corrected=0.018,
        family=3,
        needed=4,
    )
    return PairSummary(**{**values, **changes})


WITH = "no difference can be shown with 3 pretraining seeds (+1.50 points, 95 % interval"
NUMBERS = "+1.50 points, 95 % interval +1.00 to +2.00, p = 0.018 after the correction for 3 pairs"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({}, f"cutmix is higher over 3 pretraining seeds ({NUMBERS})."),
        (
            dict(difference=-1.5, seeds=(-2.0, -1.0), images=(-2.5, -0.5)),
            "cutmix is lower over 3 pretraining seeds (-1.50 points, 95 % interval -2.00 to -1.00, p = 0.018 after the "
            "correction for 3 pairs).",
        ),
        (
            dict(images=None),
            f"cutmix is higher over 3 pretraining seeds ({NUMBERS}; other test images are not considered).",
        ),
        (
            dict(images=(-0.25, 3.25)),
            f"no difference can be shown: over 3 pretraining seeds there is one ({NUMBERS}), but it may come from "
            "these test images, because the interval over them, -0.25 to +3.25, contains 0.",
        ),
        (
            dict(corrected=0.07),
            f"{WITH} +1.00 to +2.00, p = 0.070 after the correction for 3 pairs, although the uncorrected interval "
            "excludes 0); showing 0.5 points would need about 4 seeds.",
        ),
        (
            dict(corrected=0.5, seeds=(-1.0, 4.0), family=1, needed=1234),
            f"{WITH} -1.00 to +4.00, p = 0.500 "
            "after the correction for 1 pair); showing 0.5 points would need about 1,234 seeds.",
        ),
        (
            dict(corrected=0.5, seeds=(-1.0, 4.0), needed=None),
            f"{WITH} -1.00 to +4.00, p = 0.500 "
            "after the correction for 3 pairs); showing 0.5 points would need more than 100,000 seeds.",
        ),
        (
            dict(corrected=0.5, seeds=(-1.0, 4.0), needed=3, units=5),
            f"{WITH.replace('3', '5')} -1.00 to +4.00, p = 0.500 "
            "after the correction for 3 pairs); showing 0.5 points would need about 3 seeds.",
        ),
        (
            dict(units=1, deviation=None, seeds=None, bootstrap=None, p=None, corrected=None, needed=None, given=True),
            "+1.50 points in one seed, which has no spread: no difference can be shown, and the number of seeds to "
            "show 0.5 points is unknown.",
        ),
        (
            dict(deviation=0.0, seeds=None, bootstrap=None, p=None, corrected=None, needed=None),
            "+1.50 points in each of 3 pretraining seeds, which have no spread: no difference can be shown, and the "
            "number of seeds to show 0.5 points is unknown.",
        ),
        (
            dict(difference=None, units=0, seeds=None, p=None, corrected=None),
            "the arms have no seed in common, so they cannot be compared.",
        ),
    ],
)
def test_the_verdict_follows_from_the_intervals(changes, sentence):
    assert verdict(pair(**changes)) == f"**cutmix − baseline**: {sentence}"
    assert is_shown(pair(**changes)) == (" is higher " in sentence or " is lower " in sentence)


def test_a_verdict_names_planned_and_exploratory_pairs():
    assert "for 3 planned pairs)" in verdict(pair(planned=True))
    assert "for 3 exploratory pairs)" in verdict(pair(planned=False))
    assert verdict(pair(planned=False)).startswith("**cutmix − baseline** (exploration): cutmix is higher")


def test_a_verdict_on_single_backbones_is_limited_to_them():
    assert verdict(pair(given=True, unit="fine-tuning seeds")).endswith(
        "This compares these backbones only, not the ways in which they were pretrained."
    )


def test_runs_that_are_left_out_are_named():
    assert verdict(pair(left_out=["cutmix/seed3/voc/seed0"])).endswith(
        "Left out, because the other arm has no such seed: cutmix/seed3/voc/seed0."
    )


def test_numbers_are_written_alike():
    assert [signed(value) for value in (0.004, -0.004, 1.005, -1.0, None)] == ["0.00", "0.00", "+1.00", "-1.00", "–"]
    assert interval((-0.5, 0.25)) == "-0.50 to +0.25"
    assert interval((10.0, 20.0), sign=False) == "10.00 to 20.00"
    assert [probability(p) for p in (0.0004, 0.0456, 1.0, None)] == ["under 0.001", "0.046", "1.000", "–"]
