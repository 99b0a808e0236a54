"""The runs of a study, their state, and the time left."""

import json
from pathlib import Path

import pytest

from smix_mm.study.config import RunConfig, Study
from smix_mm.study.run import Run, RunState, begin, find_runs, finish, plan_study, run_state, seconds_needed, time_left
from smix_mm.utils.files import file_hash
from smix_mm.utils.lock import hold


def study(**settings) -> Study:
    arms = dict(
        baseline=RunConfig(Path("b.py")),
        mix=RunConfig(Path("m.py")),
        theirs="t.pth",
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
    assert runs[4] == Run("mix", 0, "voc", 5) and runs[4].needs == runs[3]
    assert runs[7].pretraining_seed is None and runs[7].needs == runs[6]


RUN = Run("mix", 0)


@pytest.mark.parametrize(
    "run, name",
    [
        (RUN, "mix/seed0/pretraining"),
        (Run("mix", 10, "voc", 5), "mix/seed10/voc/seed5"),
        (Run("theirs.v1", None), "theirs.v1/given/pretraining"),
        (Run("theirs.v1", None, "voc", 0), "theirs.v1/given/voc/seed0"),
    ],
)
def test_a_run_is_parsed_from_its_name(run, name):
    assert run.name == name and Run.parse(name) == run
    assert run.kind == ("voc" if "voc" in name else "pretraining")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mix",
        "mix/seed0",
        "mix/seed0/voc",
        "mix/0/pretraining",
        "mix/seed0/pretraining/train",
        "a/mix/seed0/voc/seed1",
        "mix/seed0/pretraining.stale-2026-11-28-1",
        "mix/seed0/voc.stale-1/seed1",
        "mix/seed0/voc/seed1.stale-2026-11-28-1",
    ],
)
def test_other_names_are_not_those_of_runs(name):
    with pytest.raises(ValueError, match="the name of a run should be ARM/seed0/pretraining or"):
        Run.parse(name)


def complete(folder, run: Run = RUN) -> None:
    place = folder / run.name
    begin(place, run.name, {}, print)
    (place / "result.json").write_text("{}")
    finish(place, {}, {"result.json": file_hash(place / "result.json")}, 0.0)


def test_a_run_is_waiting_then_running_then_finished(tmp_path):
    assert run_state(RUN, tmp_path).state == "waiting"
    with hold(tmp_path / "mix/seed0/pretraining.lock", "busy"):
        assert run_state(RUN, tmp_path).state == "running"
    assert run_state(RUN, tmp_path).state == "waiting"
    complete(tmp_path)
    assert run_state(RUN, tmp_path).state == "finished" and run_state(RUN, tmp_path).seconds == 0.0


def test_runs_are_found_in_the_folder_without_the_steps_inside_them(tmp_path):
    complete(tmp_path)
    for name in ("mix/seed0/pretraining/train", "mix/seed0/voc/seed1", "mix/seed0/pretraining.stale-2026-11-28-1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "step.json").write_text("{}")
    assert find_runs(tmp_path) == [RUN, Run("mix", 0, "voc", 1)]


def test_a_failure_is_shown_with_its_lines(tmp_path):
    (tmp_path / RUN.name).mkdir(parents=True)
    (tmp_path / RUN.name / "failure.json").write_text(json.dumps(dict(lines=["the reason"])))
    assert run_state(RUN, tmp_path) == RunState(RUN, "failed", lines=("the reason",))


def test_a_run_that_needs_a_failed_one_is_blocked_by_it_until_that_is_repeated(tmp_path):
    needs = Run("mix", 0, "voc", 0)
    assert run_state(needs, tmp_path).state == "waiting"
    (tmp_path / RUN.name).mkdir(parents=True)
    (tmp_path / RUN.name / "failure.json").write_text(json.dumps(dict(lines=["the reason"])))
    assert run_state(needs, tmp_path) == RunState(needs, "blocked by mix/seed0/pretraining")
    with hold(RUN.lock(tmp_path), "busy"):
        assert run_state(needs, tmp_path).state == "waiting"
    complete(tmp_path)
    assert run_state(needs, tmp_path).state == "waiting"
    complete(tmp_path, needs)
    assert run_state(needs, tmp_path).state == "finished"


def test_a_changed_result_file_is_found_if_the_content_is_checked(tmp_path):
    complete(tmp_path)
    (tmp_path / RUN.name / "result.json").write_text("[]")
    assert run_state(RUN, tmp_path, check_content=True).state == "damaged"
    (tmp_path / RUN.name / "result.json").unlink()
    assert run_state(RUN, tmp_path) == RunState(RUN, "damaged", lines=("result.json is missing or was changed",))


def test_the_time_left_is_estimated_from_finished_runs():
    voc = Run("mix", 0, "voc", 0)
    states = [RunState(RUN, "finished", 60.0), RunState(RUN, "waiting"), RunState(voc, "waiting")]
    assert time_left(states, {}, 1) == "unknown until one run of each kind is finished"
    assert time_left(states, dict(voc=100.0), 1) == "3 min"
    assert time_left(states, dict(voc=7440.0), 1) == "2 h 05 min"
    assert time_left(states, dict(voc=7440.0), 2) == "1 h 02 min"
    assert time_left(states, dict(voc=1.0), 4) == "under a minute"


def test_a_thousand_runs_are_planned_and_their_states_read_without_reading_a_config(tmp_path):
    """Nothing here may grow with the square of the runs, or read a config for each."""
    runs = plan_study(study(pretraining_seeds=tuple(range(200)), finetuning_seeds=(0, 1)))
    assert len(runs) == 200 * 2 * 3 + 3
    assert {run_state(run, tmp_path).state for run in runs} == {"waiting"}


def test_a_run_needs_the_longest_time_of_its_arm_and_a_pretraining_that_of_its_fine_tunings_too():
    one, other = Run("one", 0), Run("other", 0)
    states = [
        RunState(one, "finished", 10.0),
        RunState(Run("one", 1), "finished", 12.0),
        RunState(other, "finished", 50.0),
        RunState(Run("one", 0, "voc", 0), "finished", 7.0),
        RunState(Run("one", 2), "waiting"),
        RunState(Run("one", 2, "voc", 0), "waiting"),
        RunState(Run("third", 0), "waiting"),
    ]
    assert seconds_needed(Run("one", 2), states) == 12 + 7
    assert seconds_needed(Run("one", 2, "voc", 0), states) == 7
    assert seconds_needed(Run("third", 0), states) == 50
    assert seconds_needed(Run("third", 0), states[4:]) == 0
