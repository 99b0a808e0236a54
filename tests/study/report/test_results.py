"""Result files that are read, and unusable ones that are listed."""

import json
from pathlib import Path

import pytest

from smix_mm.study.report.results import read_curve, read_results
from smix_mm.utils.errors import DataError

RUN = "cutmix/seed0/voc/seed0"
PRETRAINING = "cutmix/seed0/pretraining"


@pytest.fixture
def study(tmp_path: Path, write_study) -> Path:
    arms = dict(baseline=15.0, cutmix=15.0)
    return write_study(tmp_path, arms, ("voc",), pretraining_seeds=(0,), finetuning_seeds=(0,))


def changed(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_every_run_of_a_whole_study_is_read(whole_study):
    results = read_results(whole_study)
    assert len(results.runs) == 3 * 3 * (1 + 2 * 2)
    assert (results.missing, results.problems) == ((), ())
    run = next(run for run in results.runs if run.name == "saliencymix/seed2/voc/seed1")
    assert (run.arm, run.detector, run.pretraining_seed, run.finetuning_seed) == ("saliencymix", "voc", 2, 1)
    assert run.backbone_hash == "saliencymix-2"
    assert 0 < run.metrics["voc/mAP_11point"] < 1


@pytest.mark.parametrize(
    "run, change, complaint",
    [
        (RUN, dict(arm="baseline"), "its arm is 'baseline', but by the name of its folder 'cutmix'"),
        (RUN, dict(pretraining_seed=None), "its pretraining_seed is None, but by the name of its folder 0"),
        (RUN, dict(finetuning_seed=1), "its finetuning_seed is 1, but by the name of its folder 0"),
        (RUN, dict(detector="bccd"), "its detector is 'bccd', but by the name of its folder 'voc'"),
        (RUN, dict(metrics={"voc/mAP_11point": float("nan")}), "voc/mAP_11point should be a finite number, got nan"),
        (RUN, dict(metrics={"voc/mAP_11point": "0.5"}), "voc/mAP_11point should be a finite number, got '0.5'"),
        (RUN, dict(metrics={"voc/mAP_area": 0.5}), "it has no voc/mAP_11point"),
        (RUN, dict(metrics=None), "it has no metrics"),
        (RUN, dict(detections="0" * 64), "detections.npz is not the file that it was computed from"),
        (PRETRAINING, dict(arm="baseline"), "its arm is 'baseline', but by the name of its folder 'cutmix'"),
    ],
)
def test_an_inconsistent_result_is_listed_and_not_used(study, run, change, complaint):
    changed(study / run / "result.json", **change)
    results = read_results(study)
    assert results.problems == (f"{run}/result.json cannot be used: {complaint}",)
    assert run not in [one.name for one in results.runs]
    assert len(results.runs) == 3


def test_a_result_truncated_at_any_byte_is_listed(study):
    path = study / RUN / "result.json"
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        results = read_results(study)
        assert results.problems[0].startswith(f"{RUN}/result.json cannot be used: ")
        assert len(results.runs) == 3


def test_a_result_that_is_not_text_is_listed(study):
    (study / RUN / "result.json").write_bytes(b"\xff\xfe\x00")
    assert read_results(study).problems[0].startswith(f"{RUN}/result.json cannot be used: ")


def test_a_missing_result_is_listed(study):
    (study / RUN / "result.json").unlink()
    results = read_results(study)
    assert results.missing == (RUN,)
    assert results.problems == ()


def test_a_result_that_the_study_does_not_name_is_listed(study, write_run):
    stray = write_run(study, "cutmix", 5, "voc", 0, 15.0)
    results = read_results(study)
    assert results.problems == (f"{stray}/result.json is left out: study.json does not name this run",)
    assert len(results.runs) == 4


def test_a_run_that_was_set_aside_is_no_result(study, write_run):
    stray = write_run(study, "cutmix", 5, "voc", 0, 15.0)
    (study / stray).rename(study / f"{stray}.stale-2026-11-28-1")
    assert read_results(study).problems == ()


def test_a_folder_without_a_study_is_an_error(tmp_path):
    with pytest.raises(DataError, match="contains no study.json. It should be the work dir"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("{", "should be a JSON file"),
        ("[]", "should contain a JSON object"),
        ("{}", "has no valid name, "),
        (
            '{"name": "a", "metric": "b", "arms": ["c"], "detectors": [], "runs": [3], "paper": []}',
            "has no valid runs, paper",
        ),
    ],
)
def test_a_damaged_study_is_an_error(tmp_path, content, complaint):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        read_results(tmp_path)


@pytest.mark.parametrize("content, complaint", [("{}", "KeyError: 'commit'"), ("{", "JSONDecodeError: ")])
def test_a_damaged_provenance_is_listed(study, content, complaint):
    (study / RUN / "provenance.json").write_text(content)
    results = read_results(study)
    (problem,) = results.problems
    assert problem.startswith(f"{RUN}/provenance.json cannot be used: ") and complaint in problem
    assert len(results.runs) == 4 and results.software == ()


def test_a_learning_curve_is_read_or_an_error(study):
    run = next(run for run in read_results(study).runs if run.name == RUN)
    points = read_curve(study, run)
    assert len(points) == 50
    assert points[0][0] == 10
    path = study / RUN / "curve.json"
    path.write_text('[{"step": 1}]')
    with pytest.raises(ValueError, match=f"{RUN}/curve.json cannot be used: KeyError"):
        read_curve(study, run)
    path.unlink()
    assert len(read_curve(study, run)) == 0
