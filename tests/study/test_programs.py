"""Trainings and tests as processes: their output, status and end, started anew and forked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smix_mm.study import programs
from smix_mm.study.programs import run_program
from smix_mm.utils.errors import StepError

PROGRAM = """
import atexit, os, sys, time
def main(arguments):
    atexit.register(lambda: open(arguments[0], "a").write("at exit"))
    print(os.getpid(), os.getppid(), *arguments[1:], os.environ["COLOUR"], flush=True)
    if "fail" in arguments:
        raise ValueError("the reason")
    if "sleep" in arguments:
        time.sleep(100)
    return 3 * ("three" in arguments)
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "a_program.py").write_text(PROGRAM)
    monkeypatch.setattr(programs, "PRELOAD", "a_program")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]))

    def run(*arguments: str, fork: bool, on_line=lambda line: None) -> list[str]:
        lines: list[str] = []
        words = [str(tmp_path / "out.txt"), *arguments]

        def keep(line: str) -> None:
            lines.append(line)
            on_line(line)

        run_program(
            "a_program", words, log=tmp_path / "run/run.log", on_line=keep, environment=dict(COLOUR="green"), fork=fork
        )
        return lines

    return run


@pytest.mark.parametrize("fork", [False, True])
def test_output_status_arguments_and_variables_are_those_of_a_program(run, tmp_path, fork):
    assert run("one", "two words", fork=fork)[-1].split(" ", 2)[2] == "one two words green\n"
    assert (tmp_path / "out.txt").read_text() == "at exit"
    log = tmp_path / "run/run.log"
    assert log.read_text().endswith("one two words green\n") and log.read_text().startswith("$ ")
    with pytest.raises(StepError, match=r"(?s)a_program ended with status 3; the end of .*run.log:\n.*three green"):
        run("three", fork=fork)
    with pytest.raises(StepError, match="(?s)ended with status 1;.*ValueError: the reason"):
        run("fail", fork=fork)
    assert log.read_text().count("$ ") == 3


def test_forked_programs_have_one_parent(run):
    first, second = (run("x", fork=True)[-1].split()[1] for _ in range(2))
    assert first == second != str(os.getpid())


@pytest.mark.parametrize("fork", [False, True])
def test_a_program_ends_if_its_lines_cannot_be_handled(run, fork):
    seen = []

    def stop(line: str) -> None:
        seen.append(int(line.split()[0]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("sleep", fork=fork, on_line=stop)
    assert not Path(f"/proc/{seen[0]}").exists()


def test_after_the_process_with_the_imports_was_killed_there_is_another(run):
    def kill(line: str) -> None:
        os.kill(int(line.split()[1]), signal.SIGKILL)

    with pytest.raises(StepError, match="ended with status 255"):
        run("sleep", fork=True, on_line=kill)
    assert run("x", fork=True)


@pytest.mark.parametrize("fork", [False, True])
def test_a_program_dies_with_the_study_even_when_that_is_killed(run, tmp_path, fork):
    script = (
        "from pathlib import Path\nfrom smix_mm.study import programs\nprograms.PRELOAD = 'a_program'\n"
        f"programs.run_program('a_program', [{str(tmp_path / 'out.txt')!r}, 'sleep'], log=Path('{tmp_path}/log'), "
        f"on_line=lambda line: print(line, flush=True), environment=dict(COLOUR='green'), fork={fork})\n"
    )
    study = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    processes = [int(word) for word in study.stdout.readline().split()[:2]]
    study.kill()
    study.wait()
    deadline = time.monotonic() + 30
    for process in processes:
        while Path(f"/proc/{process}").exists() and Path(f"/proc/{process}/stat").read_text().split()[2] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.05)
