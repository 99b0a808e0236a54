"""Runs on this machine: in order, several at a time, and after a failure."""

import dataclasses
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smix_mm.study.config import RunConfig, Study
from smix_mm.study.local import View, run_locally
from smix_mm.study.run import plan_study
from smix_mm.study.worker import Worker
from smix_mm.utils.errors import StepError
from smix_mm.utils.files import write_json


@dataclass(frozen=True)
class Recording(Worker):
    """Records the runs; those in ``failing`` raise an error."""

    failing: tuple[str, ...] = ()
    done: list = field(default_factory=list)
    barrier: threading.Barrier | None = None

    def execute(self, run, log, on_line, wait=False):
        if self.barrier is not None and run.detector is None:
            self.barrier.wait(timeout=30)
        if run.name in self.failing:
            raise StepError("the reason")
        self.done.append((run.name, self.environment.get("CUDA_VISIBLE_DEVICES")))


ARMS = {name: RunConfig(Path("x.py")) for name in ("baseline", "mix")}
STUDY = Study("A study", ARMS, dict(voc="voc.py"), pretraining_seeds=(0,))


def worker(tmp_path, **settings) -> Recording:
    return Recording(STUDY, tmp_path, {}, {}, **settings)


def test_runs_are_executed_in_order(tmp_path):
    one = worker(tmp_path)
    assert run_locally(plan_study(STUDY), [one], View(write=lambda text: None)) == {}
    assert [name for name, _ in one.done] == [run.name for run in plan_study(STUDY)]


def test_a_failed_run_stops_only_the_runs_that_need_it(tmp_path):
    one, lines = worker(tmp_path, failing=("baseline/seed0/pretraining",)), []
    failures = run_locally(plan_study(STUDY), [one], View(write=lines.append))
    assert failures == {
        "baseline/seed0/pretraining": "the reason",
        "baseline/seed0/voc/seed0": "blocked by baseline/seed0/pretraining",
    }
    assert [name for name, _ in one.done] == ["mix/seed0/pretraining", "mix/seed0/voc/seed0"]
    assert "baseline/seed0/pretraining failed; the other runs continue\nthe reason" in lines


def test_two_workers_execute_two_runs_at_a_time_each_on_its_gpu(tmp_path):
    """The barrier opens only when both pretrainings run at the same time."""
    one = worker(tmp_path, barrier=threading.Barrier(2))
    workers = [dataclasses.replace(one, environment={"CUDA_VISIBLE_DEVICES": gpu}) for gpu in "01"]
    assert run_locally(plan_study(STUDY), workers, View(write=lambda text: None)) == {}
    assert {gpu for name, gpu in one.done if name.endswith("pretraining")} == {"0", "1"}
    assert len(one.done) == 4


def test_a_bug_is_not_swallowed(tmp_path):
    broken = dataclasses.replace(worker(tmp_path), done=None)
    with pytest.raises(AttributeError):
        run_locally(plan_study(STUDY), [broken], View(write=lambda text: None))


@pytest.mark.parametrize("seconds, done", [(1.0, 4), (600.0, 1)])
def test_no_run_starts_that_would_not_end_in_time_and_one_of_unknown_duration_does(tmp_path, seconds, done):
    @dataclass(frozen=True)
    class Timed(Recording):
        def execute(self, run, log, on_line, wait=False):
            write_json(
                self.folder / run.name / "step.json", dict(inputs={}, outputs={"step.json": ""}, seconds=seconds)
            )
            super().execute(run, log, on_line, wait)

    one, lines = Timed(STUDY, tmp_path, {}, {}), []
    object.__setattr__(one, "is_finished", lambda run: False)
    study = dataclasses.replace(STUDY, detectors={}, pretraining_seeds=(0, 1))
    assert run_locally(plan_study(study), [one], View(write=lines.append), time.monotonic() + 300) == {}
    assert [name for name, _ in one.done] == [run.name for run in plan_study(study)][:done]
    late = "no time is left for mix/seed0/pretraining; start the study again to go on from there"
    assert (late in lines) == (done == 1)


LINE = "11/22 10:00:00 - mmengine - INFO - Epoch(train)  [1][2/3]  lr: 1e-1  eta: 0:00:10  loss: 1.5\n"


def test_without_a_terminal_progress_is_printed_at_intervals():
    lines = []
    often, seldom = View(write=lines.append, seconds=0), View(write=lines.append, seconds=3600)
    often.update("mix/seed0/voc/seed0", LINE)
    seldom.update("mix/seed0/voc/seed0", LINE)
    often.update("mix/seed0/voc/seed0", "a warning\n")
    assert lines == ["  mix/seed0/voc/seed0: Epoch(train) [1][2/3] lr: 1e-1 eta: 0:00:10 loss: 1.5"]


def test_on_a_terminal_a_table_shows_what_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with View("A study") as view:
        view.update("mix/seed0/voc/seed0", LINE)
        view.log("[not markup] stays")
        view.finish("mix/seed0/voc/seed0", "1 of 4 runs finished; time left: 3 min")
    assert "[not markup] stays" in capsys.readouterr().out
