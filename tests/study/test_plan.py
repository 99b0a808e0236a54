"""Which runs a study has, how far they are, and how long the rest will take."""

import fcntl
import json

import pytest

from smix_mm.study.config import Arm, Study
from smix_mm.study.plan import Run, RunState, describe_time, look_at, plan_study, time_left
from smix_mm.study.steps import Step, run_step


def study(**settings) -> Study:
    arms = dict(
        baseline=Arm("baseline", pretraining="b.py"),
        mix=Arm("mix", pretraining="m.py"),
        theirs=Arm("theirs", checkpoint="t.pth"),
    )
    return Study("A study", arms, dict(voc="voc.py"), **settings)


def test_every_seed_has_all_arms_before_the_next_and_a_checkpoint_is_published_once():
    runs = plan_study(study(pretraining_seeds=(0, 1), finetuning_seeds=(5, 6)))
    assert [run.name for run in runs] == [
        "baseline/seed0/pretraining", "baseline/seed0/voc/seed5", "baseline/seed0/voc/seed6",
        "mix/seed0/pretraining", "mix/seed0/voc/seed5", "mix/seed0/voc/seed6",
        "theirs/given/pretraining", "theirs/given/voc/seed5", "theirs/given/voc/seed6",
        "baseline/seed1/pretraining", "baseline/seed1/voc/seed5", "baseline/seed1/voc/seed6",
        "mix/seed1/pretraining", "mix/seed1/voc/seed5", "mix/seed1/voc/seed6",
    ]  # fmt: skip
    assert runs[4] == Run("mix/seed0/voc/seed5", "mix", 0, "voc", 5, "mix/seed0/pretraining")
    assert runs[7].pretraining_seed is None and runs[7].needs == "theirs/given/pretraining"


RUN = Run("mix/seed0/pretraining", "mix", 0)


def finish(folder) -> None:
    def work(step: Step) -> None:
        step.output().write_text("{}")

    run_step(Step("x", folder / RUN.name, dict(config=1), ("result.json",), work), lambda text: None)


def test_a_run_is_waiting_then_running_then_finished(tmp_path):
    assert look_at(RUN, tmp_path).state == "waiting"
    (tmp_path / "mix/seed0").mkdir(parents=True)
    with open(tmp_path / "mix/seed0/pretraining.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert look_at(RUN, tmp_path).state == "running"
    assert look_at(RUN, tmp_path).state == "waiting"
    finish(tmp_path)
    assert look_at(RUN, tmp_path).state == "finished" and look_at(RUN, tmp_path).seconds == 0.0


def test_a_failure_is_shown_with_its_lines(tmp_path):
    (tmp_path / RUN.name).mkdir(parents=True)
    (tmp_path / RUN.name / "failure.json").write_text(json.dumps(dict(lines=["the reason"])))
    assert look_at(RUN, tmp_path) == RunState(RUN, "failed", lines=("the reason",))


def test_a_changed_result_file_is_found_where_content_is_asked_for(tmp_path):
    finish(tmp_path)
    (tmp_path / RUN.name / "result.json").write_text("[]")
    assert look_at(RUN, tmp_path, content=True).state == "damaged"
    (tmp_path / RUN.name / "result.json").unlink()
    assert look_at(RUN, tmp_path) == RunState(RUN, "damaged", lines=("result.json is missing or was changed",))


def test_the_time_left_is_that_of_the_runs_that_are_timed():
    voc = Run("mix/seed0/voc/seed0", "mix", 0, "voc", 0, RUN.name)
    states = [RunState(RUN, "finished", 60.0), RunState(RUN, "waiting"), RunState(voc, "waiting")]
    assert time_left(states, {}, 1) is None
    assert time_left(states, dict(voc=100.0), 1) == 160.0
    assert time_left(states, dict(voc=100.0), 2) == 80.0


@pytest.mark.parametrize("seconds, text", [(20, "under a minute"), (100, "2 min"), (7500, "2 h 05 min")])
def test_times_are_told_as_a_person_would(seconds, text):
    assert describe_time(seconds) == text


def test_a_thousand_runs_are_planned_and_looked_at_with_no_config_read(tmp_path):
    """Nothing here may grow with the square of the runs, or read a config for each."""
    runs = plan_study(study(pretraining_seeds=tuple(range(200)), finetuning_seeds=(0, 1)))
    assert len(runs) == 200 * 2 * 3 + 3
    assert {look_at(run, tmp_path).state for run in runs} == {"waiting"}
