"""Hours, GPU-hours and disk are computed from measurements, with the limit, and are otherwise not measured."""

import json
import re
from pathlib import Path

import pytest

from smix_mm.experiments import Machine, list_experiments, plan_costs
from smix_mm.experiments.cost import Cost, describe_hours
from smix_mm.study.config import load_study
from smix_mm.study.run import Run, begin, finish
from smix_mm.utils.errors import DataError, UsageError
from smix_mm.utils.files import file_hash

ROOT = Path(__file__).parents[2]
BASELINE, CUTMIX = (f"configs/imagenet/resnet50_{arm}_in1k.py" for arm in ("baseline", "cutmix"))
# A step of 256 images takes 0.1 s, and a core reads 128 images a second.
GPU_HOURS = 300 * 5005 * 0.1 / 3600
CORE_HOURS = 300 * 1_281_167 / 128 / 3600


@pytest.fixture
def results(tmp_path) -> Path:
    """Made-up measurements of two cards and one processor; the pipeline is that of another arm."""
    for folder in ("gpu", "pipeline"):
        (tmp_path / "results" / folder).mkdir(parents=True)
    for card, factor in (("Card A", 1), ("Card B", 2)):
        row = dict(config=BASELINE, arm="CutMix", amp=False, median_ms=100 * factor)
        parts = {"imagenet-step": dict(rows=[row])}
        record = dict(machine=dict(card=card), date="2026-11-28T00:00:00Z", parts=parts)
        (tmp_path / f"results/gpu/{card[-1]}.json").write_text(json.dumps(record))
    pipeline = dict(machine=dict(processor="Core X"), rows=[dict(config=BASELINE, images_per_second=128.0)])
    (tmp_path / "results/pipeline/x.json").write_text(json.dumps(pipeline))
    return tmp_path / "results"


def hours(results: Path, **machine: object) -> str:
    (row,) = list_experiments(["imagenet, top-1", "resnet-50 + cutmix"], results, ROOT, Machine(**machine))
    assert row["disk"] == "not measured"
    return row["hours"]


def test_the_larger_of_two_limits_is_named(results):
    assert f"{GPU_HOURS / 8:.2g} {CORE_HOURS / 64:.2g} {CORE_HOURS / 400:.2g}" == "5.2 13 2.1"
    limits = "(GPUs: 5.2; data pipeline on Core X: 13)"
    assert hours(results, gpus=8, cores=64, card="card a") == f"13 on Card A, limited by the data pipeline {limits}"
    assert hours(results, gpus=8, cores=400) == (
        "5.2 on Card A, limited by the GPUs (GPUs: 5.2; data pipeline on Core X: 2.1); "
        "10 on Card B, limited by the GPUs (GPUs: 10; data pipeline on Core X: 2.1)"
    )


def test_without_one_of_the_measurements_there_is_no_number_of_hours(results):
    (results / "pipeline/x.json").unlink()
    text = "not measured (GPUs: 5.2 on Card A, data pipeline: not measured)"
    assert hours(results, gpus=8, cores=64, card="card a") == text
    assert hours(results, card="H200") == "not measured"
    assert describe_hours(Cost({}, {"Core X": 64.0}), Machine(1, 64)) == (
        "not measured (GPUs: not measured, data pipeline: 1 on Core X)"
    )


def test_a_pipeline_of_other_data_is_not_measured(results):
    (row,) = list_experiments(["tiny-imagenet", "fine-grained"], results, ROOT, Machine())
    assert row["hours"] == "not measured"


@pytest.mark.parametrize(
    "content, message",
    [
        ("{}", "x.json should have machine.processor, and rows with config and images_per_second"),
        ('{"machine": {"processor": "X"}, "rows": [{"config": "c", "images_per_second": 0}]}', "above 0"),
        ("[", "x.json should be a JSON file"),
    ],
)
def test_a_broken_file_of_a_pipeline_is_named(results, content, message):
    (results / "pipeline/x.json").write_text(content)
    with pytest.raises(DataError, match=message):
        hours(results)


def test_a_machine_has_gpus_and_cores():
    with pytest.raises(UsageError, match="gpus and cores should be at least 1, got 8 and 0"):
        Machine(gpus=8, cores=0)


def study_file(folder: Path, arms: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.py").write_text(f"arms = dict({arms})\npretraining_seeds = [0, 1]\n")
    return folder / "study.py"


def test_a_study_is_the_sum_of_its_unfinished_runs(results, tmp_path):
    study = load_study(study_file(tmp_path / "s", f"cutmix='{ROOT}/{CUTMIX}'"))
    text = plan_costs(study, Machine(8, 64, "Card A"), results, ROOT)
    assert re.search(r"cutmix pretraining +\| +2 \| +2 \| +42 on Card A \| +8\.3e\+02 on Core X \| +not measured", text)
    assert "GPU-hours left: 83 on Card A\n" in text
    assert "8 GPUs and 64 cores, at least: 26 on Card A, limited by the data pipeline (GPUs: 10;" in text
    assert text.endswith("disk left to fill: not measured")
    run = tmp_path / "work" / Run("cutmix", 0).name
    begin(run, "", {}, print)
    (run / "result.json").write_bytes(b"x" * 2**20)
    finish(run, {}, {"result.json": file_hash(run / "result.json")}, 7200.0)
    text = plan_costs(study, Machine(8, 64, "Card A"), results, ROOT, tmp_path / "work")
    assert re.search(r"cutmix pretraining +\| +2 \| +1 \| .* \| +2 \| +1 MiB \|", text)
    assert "GPU-hours left: 42 on Card A\n" in text and text.endswith("disk left to fill: 1 MiB")


def test_a_study_with_a_run_that_was_not_measured_has_no_sum(results, tmp_path):
    changed = f"dict(config='{ROOT}/{CUTMIX}', cfg_options={{'model.backbone.depth': 101}})"
    cutmix = f"dict(config='{ROOT}/{BASELINE}', cfg_options=dict(augment='cutmix'))"
    study = load_study(study_file(tmp_path / "s", f"cutmix={cutmix}, deep={changed}"))
    text = plan_costs(study, Machine(card="Card A"), results, ROOT)
    assert re.search(r"cutmix pretraining +\| +2 \| +2 \| +42 on Card A \|", text)
    assert re.search(r"deep pretraining +\| +2 \| +2 \| +not measured \| +not measured \|", text)
    assert "GPU-hours left: not measured\n" in text and "at least: not measured\n" in text


def test_the_commands_print_estimates(results, run_tool, tmp_path):
    study = study_file(tmp_path / "s", f"cutmix='{ROOT}/{CUTMIX}'")
    printed = run_tool("tools/study.py", "plan", study, "--gpus", 8, "--cores", 400, "--results", results).stdout
    assert "hours left on 8 GPUs and 400 cores, at least: 10 on Card A, limited by the GPUs" in printed
    words = ["imagenet, top-1", "resnet-50 + cutmix", "--gpus", 8, "--cores", 400, "--results", results]
    assert "    hours at least 5.2 on Card A, limited" in run_tool("tools/list_experiments.py", *words).stdout
