"""Resampling the test images: unusable predictions are listed, and the intervals cover the true figures."""

import json
from pathlib import Path

import numpy as np
import pytest

from smix_mm.evaluation import read_detections
from smix_mm.evaluation.average_precision import resample
from smix_mm.study.report.results import read_results, resample_runs
from smix_mm.study.statistics import basic_interval, draw_images, percentile_interval

METRIC = "voc/mAP_11point"
RUN = "cutmix/seed0/voc/seed0"


@pytest.fixture
def study(tmp_path: Path, write_study) -> Path:
    arms = dict(baseline=15.0, cutmix=15.0)
    return write_study(tmp_path, arms, ("voc",), pretraining_seeds=(0, 1), finetuning_seeds=(0,))


def resampled(study: Path, samples: int = 20):
    runs = [run for run in read_results(study).runs if run.detector == "voc"]
    return resample_runs(study, runs, METRIC, samples, lambda line: None)


def test_whole_predictions_are_resampled_alike(study):
    figures, problems = resampled(study)
    assert problems == []
    assert {len(run.figures) for run in figures.values()} == {20} and all(run.detections for run in figures.values())
    assert len(figures) == 4


def test_predictions_that_are_missing_or_damaged_are_named(study):
    (study / RUN / "detections.npz").unlink()
    other = study / "cutmix/seed1/voc/seed0"
    result = json.loads((other / "result.json").read_text())
    del result["detections"]
    (other / "result.json").write_text(json.dumps(result))
    (other / "detections.npz").write_bytes((other / "detections.npz").read_bytes()[:500])
    figures, problems = resampled(study)
    assert sorted(figures) == ["baseline/seed0/voc/seed0", "baseline/seed1/voc/seed0"]
    assert problems[0].startswith(f"{RUN}/detections.npz does not exist")
    assert problems[1].startswith("cutmix/seed1/voc/seed0/detections.npz cannot be read")


def test_a_figure_that_the_predictions_do_not_give_is_named(study):
    path = study / RUN / "result.json"
    result = json.loads(path.read_text())
    true = result["metrics"][METRIC]
    result["metrics"][METRIC] = true + 1e-6
    path.write_text(json.dumps(result))
    _, problems = resampled(study)
    assert problems == [f"{RUN}: {METRIC} is {true + 1e-6} in its result, but {true} by its predictions"]


def test_a_run_that_was_tested_on_other_images_is_named(study, write_run):
    write_run(study, "cutmix", 0, "voc", 0, 15.0, images=23)
    figures, problems = resampled(study)
    assert RUN not in figures
    assert problems == [f"{RUN} was tested on other images or objects than baseline/seed0/voc/seed0"]


def test_intervals_over_images_cover_what_all_images_give(tmp_path, write_run):
    metric, population, size = "voc/mAP_area", 400, 40
    one, two = (
        read_detections(tmp_path / write_run(tmp_path, arm, 0, "voc", 0, noise, population) / "detections.npz")
        for arm, noise in (("a", 14.0), ("b", 12.0))
    )
    everything = np.ones((population, 1), np.int32)
    truth = [resample(detections, metric, everything)[0] for detections in (one, two)]
    rng = np.random.default_rng(0)
    covered = dict(pair=0, arm=0)
    for seed in range(60):
        chosen = rng.choice(population, size, replace=False)
        weights = np.zeros((population, 121), np.int32)
        weights[chosen, 0] = 1
        weights[chosen, 1:] = draw_images(size, 120, seed)
        first, second = (resample(detections, metric, weights) for detections in (one, two))
        low, high = percentile_interval(second[1:] - first[1:])
        covered["pair"] += low <= truth[1] - truth[0] <= high
        low, high = basic_interval(first[0], first[1:])
        covered["arm"] += low <= truth[0] <= high
    assert covered["pair"] >= 0.88 * 60
    assert covered["arm"] >= 0.85 * 60
