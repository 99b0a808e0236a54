"""Programs forked from one process behave as programs of their own, and end with the study."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smix_mm.study.fork_server import ForkServer

PROGRAM = """
import os, sys, time
print("imported")
def main(arguments):
    print(os.getppid(), *arguments, os.environ["COLOUR"], flush=True)
    if "fail" in arguments:
        raise ValueError("the reason")
    if "sleep" in arguments:
        time.sleep(100)
    return 3
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "a_program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    return {**os.environ, "PYTHONPATH": path, "COLOUR": "green"}


@pytest.fixture(scope="module")
def server(environment):
    server = ForkServer(environment, ["a_program", "a_module_that_is_not_installed"])
    yield server
    server.close()


def run(server: ForkServer, *arguments: str) -> tuple[list[str], int]:
    process = server.start("a_program", arguments)
    return process.stdout.read().splitlines(), process.wait()


def test_output_status_arguments_and_variables_are_those_of_a_program_of_its_own(server):
    lines, status = run(server, "one", "two words")
    assert lines[-1].split(" ", 1)[1] == "one two words green" and status == 3
    lines, status = run(server, "fail")
    assert lines[-1] == "ValueError: the reason" and status == 1


def test_imports_are_done_once_and_said_to_the_first_program(environment):
    server = ForkServer(environment, ["a_program"])
    try:
        first, second = run(server)[0], run(server)[0]
    finally:
        server.close()
    assert first[0] == "imported" and len(first) == 2 and len(second) == 1
    assert first[1] == second[0]


def test_a_program_can_be_ended(server):
    process = server.start("a_program", ["sleep"])
    assert "sleep" in process.stdout.readline() and process.poll() is None
    process.terminate()
    assert process.wait() == process.poll() == -signal.SIGTERM
    assert run(server)[1] == 3


def test_a_server_that_is_killed_takes_its_program_along_and_the_next_has_another(server):
    process = server.start("a_program", ["sleep"])
    os.kill(int(process.stdout.readline().split()[0]), signal.SIGKILL)
    assert process.stdout.read() == "" and process.wait() == -signal.SIGKILL
    assert run(server)[1] == 3


def test_program_and_server_die_with_the_study_even_when_that_is_killed(environment):
    script = (
        "import os\nfrom smix_mm.study.fork_server import ForkServer\n"
        "process = ForkServer(os.environ, ['a_program']).start('a_program', ['sleep'])\n"
        "for line in process.stdout:\n    print(line, end='', flush=True)\n"
    )
    study = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    lines = iter(study.stdout.readline, "")
    server = int(next(line for line in lines if "sleep" in line).split()[0])
    program = int(Path(f"/proc/{server}/task/{server}/children").read_text())
    study.kill()
    study.wait()
    deadline = time.monotonic() + 30
    for process in (server, program):
        while Path(f"/proc/{process}").exists() and Path(f"/proc/{process}/stat").read_text().split()[2] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.05)
