"""A step is executed once, continues after an interruption, and is executed again when its inputs change."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smix_mm.study.steps import MARKER, Step, damaged_outputs, read_marker, run_command, run_step
from smix_mm.utils.errors import StepError


class Recorder:
    """Work that counts its runs and writes its output."""

    def __init__(self, text: str = "done", leave: bool = True) -> None:
        self.runs, self.text, self.leave = 0, text, leave

    def __call__(self, step: Step) -> None:
        self.runs += 1
        (step.folder / "half.txt").write_text("half")
        if self.leave:
            step.output().write_text(self.text)


def step(folder, work, **inputs) -> Step:
    return Step("pretraining", folder / "pretrain", inputs or dict(config="a"), ("out.txt",), work)


def test_a_finished_step_is_left_alone(tmp_path):
    work, messages = Recorder(), []
    assert run_step(step(tmp_path, work), messages.append)
    assert not run_step(step(tmp_path, work), messages.append)
    assert work.runs == 1 and messages[-1] == "pretraining: finished before"


@pytest.mark.parametrize("inputs, named", [(dict(config="b"), "config"), (dict(config="a", data="x"), "data")])
def test_a_changed_input_is_named_and_the_step_is_executed_again(tmp_path, inputs, named):
    work, messages = Recorder(), []
    run_step(step(tmp_path, work), messages.append)
    (tmp_path / "pretrain/left_over.txt").write_text("from before")
    run_step(step(tmp_path, work, **inputs), messages.append)
    assert work.runs == 2 and not (tmp_path / "pretrain/left_over.txt").exists()
    assert any(f"because of a change in: {named}" in line for line in messages)


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("other")])
def test_a_missing_or_changed_output_is_made_again(tmp_path, harm):
    work, messages = Recorder(), []
    run_step(step(tmp_path, work), messages.append)
    harm(tmp_path / "pretrain/out.txt")
    run_step(step(tmp_path, work), messages.append)
    assert work.runs == 2 and "out.txt is missing or was changed" in messages[-2]


def test_an_interrupted_step_continues_in_its_folder(tmp_path):
    def fail(step: Step) -> None:
        (step.folder / "epoch_1.pth").write_text("kept")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(step(tmp_path, fail), print)
    work = Recorder()
    run_step(step(tmp_path, work), print)
    assert work.runs == 1 and (tmp_path / "pretrain/epoch_1.pth").read_text() == "kept"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inputs": 3}'])
def test_a_damaged_marker_is_ignored(tmp_path, content):
    work = Recorder()
    run_step(step(tmp_path, work), print)
    (tmp_path / "pretrain" / MARKER).write_text(content)
    run_step(step(tmp_path, work), print)
    assert work.runs == 2


def test_work_that_leaves_no_output_is_a_failure(tmp_path):
    with pytest.raises(StepError, match="did not write out.txt"):
        run_step(step(tmp_path, Recorder(leave=False)), print)


def test_a_failing_program_is_shown_with_the_end_of_its_log(tmp_path):
    def work(step: Step) -> None:
        run_command(step, [sys.executable, "-c", "print('first'); raise SystemExit('the reason')"], os.environ, print)

    with pytest.raises(StepError, match=r"ended with status 1; the end of .*step.log:\n.*the reason"):
        run_step(step(tmp_path, work), print)
    assert "first" in (tmp_path / "pretrain/step.log").read_text()


def test_every_line_of_a_program_is_watched_and_logged(tmp_path):
    seen = []

    def work(step: Step) -> None:
        run_command(step, [sys.executable, "-c", "print('one'); print('two')"], os.environ, seen.append)
        step.output().write_text("done")

    run_step(step(tmp_path, work), print)
    assert seen == ["one\n", "two\n"]
    assert (tmp_path / "pretrain/step.log").read_text().endswith("one\ntwo\n")


def test_the_marker_of_a_finished_step_has_its_duration_and_outputs(tmp_path):
    run_step(step(tmp_path, Recorder()), print)
    marker = read_marker(tmp_path / "pretrain")
    assert marker["seconds"] >= 0 and set(marker["outputs"]) == {"out.txt"}
    assert damaged_outputs(tmp_path / "pretrain", marker) == []
    (tmp_path / "pretrain/out.txt").write_text("other")
    assert damaged_outputs(tmp_path / "pretrain", marker) == ["out.txt"]


def test_a_program_dies_with_the_study_even_when_that_is_killed(tmp_path):
    script = f"""
import os, sys
from pathlib import Path
from smix_mm.study.steps import Step, run_command
child = "import os, time; open({str(tmp_path / "pid")!r}, 'w').write(str(os.getpid())); time.sleep(60)"
step = Step("sleeping", Path({str(tmp_path)!r}), {{}}, (), print)
run_command(step, [sys.executable, "-c", child], os.environ, print)
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while (Path("/proc") / str(child)).exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
