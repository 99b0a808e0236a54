"""tools/setup.sh, run on simulated machines: a PATH of a few programs, most of them stand-ins."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = ["bash", "cat", "dirname", "env", "flock", "grep", "mktemp", "mv", "rm", "sed", "sha256sum"]
PROGRAMS += ["uname", "cp", "mkdir", "sh", "sleep"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="set-up is for Linux")

# Stand-ins log their arguments in $LOG. A Python that creates a .venv from the two stand-ins below:
PYTHON = """\
case $2 in
  venv) echo make-venv >>$LOG; while [ -e $LOG.hold ]; do sleep 0.05; done
        mkdir -p "$4/bin"; cp $STANDINS/venv-python "$4/bin/python"
        echo "command = python -m venv $4" >"$4/pyvenv.cfg" ;;
  *) echo "ok $0" ;;
esac
"""
VENV_PYTHON = """\
case $* in
  -V) echo Python 3.12.0 ;;
  *"pip install"*) cp $STANDINS/uv .venv/bin/uv ;;
  *doctor) echo doctor >>$LOG; exit ${DOCTOR:-0} ;;
  *) echo "ok $0" ;;
esac
"""
UV = """\
echo "uv $*" >>$LOG
echo "sees GPUs: ${CUDA_VISIBLE_DEVICES-all}, forced: ${FORCE_CUDA:-0}, toolkit: ${CUDA_HOME:-none}" >>$LOG
"""
NVCC = """\
case $1 in
  --version) echo "Cuda compilation tools, release %s, V%s.88" ;;
  *) echo "#$ TOP=/toolkit" >&2 ;;
esac
"""
GPU = "echo 'GPU 0: NVIDIA H100'"


class Machine:
    """A copy of the project next to a folder of programs, which is the whole PATH."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.programs = folder / "bin"
        self.log_file = folder / "log"
        (self.project / "tools").mkdir(parents=True)
        self.programs.mkdir()
        for file in ("tools/setup.sh", "tools/mmcv_operators.toml", "requirements.txt", "pyproject.toml"):
            shutil.copy(ROOT / file, self.project / file)
        for name in PROGRAMS:
            program = shutil.which(name)
            if program:
                (self.programs / name).symlink_to(program)
        self.environment = {
            "PATH": str(self.programs),
            "LOG": str(self.log_file),
            "STANDINS": str(self.programs),
        }

    def add(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def add_python_with(self, change: str, folder: Path) -> None:
        """A real Python, changed at its start."""
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(f"import sys, sysconfig\nsys.version_info = (3, 12)\n{change}\n")
        self.add("python3.12", f'PYTHONPATH="{folder}" exec "{sys.executable}" "$@"')

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", self.project / "tools" / "setup.sh"],
            env={**self.environment, **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **environment: str) -> tuple[int, str, str]:
        process = self.start(**environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def change_requirements(self) -> None:
        with (self.project / "requirements.txt").open("a") as file:
            file.write("six\n")

    def log(self) -> str:
        """What was logged since the last call."""
        text = self.log_file.read_text() if self.log_file.exists() else ""
        self.log_file.write_text("")
        return text


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which set-up succeeds."""
    machine = Machine(tmp_path)
    machine.add(
        "df",
        "printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\\n/dev/a 9 9 99999999 1%% /\\n'",
    )
    machine.add("python3.12", PYTHON)
    machine.add("venv-python", VENV_PYTHON)
    machine.add("uv", UV)
    return machine


def probe_of_python() -> str:
    """The program with which set-up checks a Python."""
    return (ROOT / "tools/setup.sh").read_text().split("probe='")[1].split("'")[0]


def assert_refused(machine: Machine, *words: str, **environment: str) -> None:
    status, _, err = machine.run(**environment)
    assert status == 1
    assert err.startswith("setup: ")
    assert err.count("\n") == 1
    assert [word for word in words if word not in err] == []
    assert sorted(os.listdir(machine.project)) == ["pyproject.toml", "requirements.txt", "tools"]


def test_without_a_python_set_up_names_the_versions_it_needs(machine: Machine) -> None:
    (machine.programs / "python3.12").unlink()
    assert_refused(machine, "Python 3.11 or 3.12", "found none:", "apt install", "PYTHON=")


def test_a_shim_that_does_not_run_and_an_old_python_are_skipped_and_named(machine: Machine, tmp_path: Path) -> None:
    machine.add_python_with("sys.version_info = (3, 10)", tmp_path / "old")
    (machine.programs / "python3.12").rename(machine.programs / "python3")
    machine.add("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    assert_refused(machine, "python3.12 does not run", "python3 is Python 3.10")
    machine.add("python", PYTHON)
    assert machine.run()[0] == 0


def test_the_python_that_the_user_names_is_the_only_one_tried(machine: Machine) -> None:
    assert_refused(machine, "found none at /opt/none/python", PYTHON="/opt/none/python")


def test_headers_of_python_are_needed_only_to_compile_operators(machine: Machine, tmp_path: Path) -> None:
    machine.add("c++", "exit 0")
    machine.add_python_with(
        "real = sysconfig.get_paths\nsysconfig.get_paths = lambda *scheme: {**real(*scheme), 'include': '/nowhere'}",
        tmp_path / "site",
    )
    assert_refused(machine, "python3.12", "/nowhere/Python.h", "apt install", "python3.12-dev", MMCV_OPS="1")
    probe = subprocess.run([machine.programs / "python3.12", "-c", probe_of_python(), "0"], capture_output=True)
    assert probe.stdout.startswith(b"ok ")


def test_a_python_without_ensurepip_is_refused_before_anything_is_created(machine: Machine, tmp_path: Path) -> None:
    machine.add_python_with("sys.modules['ensurepip'] = None", tmp_path / "site")
    assert_refused(machine, "python3.12", "ensurepip", "apt install python3.12-venv, or")


def test_a_compiler_is_needed_only_to_compile_operators(machine: Machine) -> None:
    assert_refused(machine, "C++ compiler", "c++ g++ clang++", "apt install g++", "make setup MMCV_OPS=0", MMCV_OPS="1")
    assert machine.run()[0] == 0


def test_a_compiler_that_fails_is_not_used(machine: Machine) -> None:
    machine.add("c++", "exit 1")
    assert_refused(machine, "C++ compiler", "apt install g++", MMCV_OPS="1")
    machine.add("g++", "exit 0")
    assert_refused(machine, "tried c++ -broken", CXX="c++ -broken", MMCV_OPS="1")
    assert machine.run(MMCV_OPS="1")[0] == 0


def test_anything_but_0_and_1_for_mmcv_ops_is_refused(machine: Machine) -> None:
    assert_refused(machine, "MMCV_OPS should be 0 or 1, got yes", MMCV_OPS="yes")


def test_needed_disk_and_time_are_printed_before_anything_is_installed(machine: Machine) -> None:
    machine.add("uv", 'echo "installing"')
    out = machine.run()[1]
    assert re.search(r"minutes the first time.*GB of disk", out.partition("\ninstalling")[0])


def test_mmcv_ops_is_remembered_until_it_is_set_again(machine: Machine) -> None:
    machine.add("c++", "exit 0")
    assert machine.run(MMCV_OPS="1")[0] == 0
    assert "--config-file tools/mmcv_operators.toml --no-deps --requirements" in machine.log()
    assert machine.run() == (0, "setup: .venv is ready\n", "")
    machine.change_requirements()
    machine.run()
    log = machine.log()
    assert "--config-file tools/mmcv_operators.toml" in log and "uninstall" not in log
    machine.run(MMCV_OPS="0")
    log = machine.log()
    assert "make-venv" not in log and "--config-file" not in log
    assert log.index("uv pip uninstall --quiet --python .venv/bin/python onedl-mmcv") < log.index("uv pip install")
    machine.run(MMCV_OPS="1")
    assert "uv pip uninstall" in machine.log()


def test_mmcv_ops_of_a_failed_set_up_is_remembered(machine: Machine) -> None:
    machine.add("c++", "exit 0")
    assert machine.run(MMCV_OPS="1", DOCTOR="1")[0] == 1
    machine.log()
    assert machine.run()[0] == 0
    assert "--config-file tools/mmcv_operators.toml" in machine.log()


def test_too_little_disk_is_refused_before_anything_is_created(machine: Machine) -> None:
    machine.add(
        "df",
        "printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\\n/dev/a b 9 9 3145728 1%% /\\n'",
    )
    assert_refused(machine, "7 GB of free disk", "found 3 GB", str(machine.project))


def test_a_finished_set_up_is_not_repeated(machine: Machine) -> None:
    assert machine.run()[0] == 0
    log = machine.log()
    assert log.startswith("make-venv\nuv pip install --python .venv/bin/python --requirements requirements.txt\n")
    assert log.endswith("doctor\n")
    # Neither Python nor free disk is checked.
    for name in ("python3.12", "df"):
        (machine.programs / name).unlink()
    assert machine.run() == (0, "setup: .venv is ready\n", "")
    assert machine.log() == ""


def test_changed_requirements_are_installed_into_the_same_environment(machine: Machine) -> None:
    machine.run()
    machine.log()
    machine.change_requirements()
    assert machine.run()[0] == 0
    log = machine.log()
    assert "make-venv" not in log
    assert "--requirements requirements.txt" in log


@pytest.mark.parametrize("harm", ["broken", "moved"])
def test_a_broken_or_moved_environment_is_created_again(machine: Machine, harm: str) -> None:
    machine.run()
    machine.log()
    if harm == "broken":
        (machine.project / ".venv/bin/python").unlink()
    else:
        machine.project = machine.project.rename(machine.project.with_name("other place"))
    assert machine.run()[0] == 0
    assert machine.log().startswith("make-venv\n")
    assert machine.run() == (0, "setup: .venv is ready\n", "")


def test_after_a_failed_set_up_the_environment_is_created_again(machine: Machine) -> None:
    machine.run()
    machine.change_requirements()
    status, _, err = machine.run(DOCTOR="1")
    assert (status, err.count("\n")) == (1, 1)
    assert "environment has problems" in err
    machine.log()
    assert machine.run()[0] == 0
    assert machine.log().startswith("make-venv\n")


@pytest.mark.skipif(not shutil.which("flock"), reason="there is no flock")
def test_the_second_of_two_set_ups_waits_and_finds_the_work_done(machine: Machine) -> None:
    hold = machine.log_file.with_name("log.hold")
    hold.touch()
    try:
        first = machine.start()
        assert first.stdout and "creating .venv" in first.stdout.readline()
        second = machine.start()
        assert second.stdout and "another set-up is running" in second.stdout.readline()
    finally:
        hold.unlink()
    assert first.communicate(timeout=60)[0].endswith("setup: .venv is ready\n")
    assert second.communicate(timeout=60)[0] == "setup: .venv is ready\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert machine.log().count("make-venv") == 1


def test_with_a_gpu_and_nvcc_nothing_is_compiled_by_default(machine: Machine) -> None:
    machine.add("nvidia-smi", GPU)
    machine.add("nvcc", NVCC.replace("%s", "13.0"))
    status, out, _ = machine.run()
    assert status == 0 and "CUDA" not in out
    assert "sees GPUs: all, forced: 0, toolkit: none" in machine.log()


def test_with_nvcc_but_no_gpu_cpu_operators_are_compiled(machine: Machine) -> None:
    machine.add("c++", "exit 0")
    machine.add("nvcc", NVCC.replace("%s", "13.0"))
    assert machine.run(MMCV_OPS="1")[0] == 0
    log = machine.log()
    assert "sees GPUs: all, forced: 0, toolkit: none" in log
    assert "operators=cuda" not in log


def test_with_a_gpu_and_a_matching_nvcc_cuda_operators_are_compiled_not_taken_from_a_cached_cpu_build(
    machine: Machine,
) -> None:
    machine.add("c++", "exit 0")
    machine.add("nvidia-smi", GPU)
    machine.add("nvcc", NVCC.replace("%s", "13.0"))
    assert machine.run(MMCV_OPS="1")[0] == 0
    log = machine.log()
    assert "--config-settings-package onedl-mmcv:operators=cuda --requirements" in log
    assert "sees GPUs: all, forced: 1, toolkit: /toolkit" in log


@pytest.mark.parametrize("nvcc", ["none", "12.4"])
def test_with_a_gpu_but_no_matching_nvcc_cpu_operators_are_compiled_with_a_warning(machine: Machine, nvcc: str) -> None:
    machine.add("c++", "exit 0")
    machine.add("nvidia-smi", GPU)
    machine.add("nvcc", NVCC.replace("%s", nvcc))
    # A folder without nvcc hides a toolkit that exists on this machine.
    status, out, _ = machine.run(MMCV_OPS="1", **{"CUDA_HOME": "/nowhere"} if nvcc == "none" else {})
    assert status == 0
    assert "sees GPUs: , forced: 0" in machine.log()
    [line] = [line for line in out.splitlines() if "GPU" in line]
    assert f"{nvcc.partition('.')[0]} was found" in line
    assert "detectors cannot train on the GPU" in line
    assert "install the CUDA 13 toolkit, remove .venv" in line and "make setup MMCV_OPS=0" in line


def test_the_package_alone_requires_only_torch_and_numpy_of_any_recent_release():
    """So that it replaces nothing in an OpenMMLab environment that somebody has."""
    needed = [line for line in importlib.metadata.requires("smix-mm") or [] if "extra ==" not in line]
    assert sorted(re.match(r"[\w-]+", line).group() for line in needed) == ["numpy", "torch"]
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in needed)
