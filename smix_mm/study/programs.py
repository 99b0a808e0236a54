"""Running trainings and tests as processes that end with the study.

On a CPU each is forked from a process that has imported OpenMMLab, because imports are most of the work of a study of
many short runs: about 12 s of CPU time for each program.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Mapping, Sequence

from ..utils.command_line import run_command
from ..utils.errors import StepError
from .run import LineCallback

LOG_LINES_SHOWN = 5
PRELOAD = "smix_mm.study.preload"
"""Module that the process imports from which programs are forked."""

_FORKED = "program of a study"


def run_program(
    module: str,
    arguments: Sequence[str],
    *,
    log: Path,
    on_line: LineCallback,
    environment: Mapping[str, str],
    launch: Sequence[str] = (sys.executable,),
    fork: bool = False,
) -> None:
    """Run ``python -m module arguments...`` with its output in a log; it ends when this process ends, even if killed.

    Args:
        module: its ``main(arguments)`` returns the exit status.
        arguments: of the program.
        log: file to which the command and its output are appended; each line is passed to ``on_line`` too.
        on_line: see ``log``.
        environment: variables beyond those of this process.
        launch: program and arguments before ``-m module``. Defaults to Python.
        fork: fork the program from a process that has imported OpenMMLab; not for programs that use CUDA, which
            cannot be forked once it is initialised.

    Raises:
        StepError: the exit status was not 0.
    """
    command = [*launch, "-m", module, *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    with open(log, "a", encoding="utf-8") as file, open(reader, encoding="utf-8", errors="replace") as output:
        file.write(f"$ {' '.join(command)}\n")
        process: Any
        with Connection(writer, readable=False) as connection:
            if fork:
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload([PRELOAD])
                work = (module, list(arguments), connection, dict(environment))
                process = context.Process(name=_FORKED, target=_work, args=work)
                process.start()
            else:
                process = subprocess.Popen(
                    command,
                    stdout=connection.fileno(),
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **environment},
                    preexec_fn=_die_with_parent,
                )
        try:
            for line in output:
                file.write(line)
                file.flush()
                on_line(line)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.join() if fork else process.wait()
    status = process.exitcode if fork else process.returncode
    if status != 0:
        end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise StepError("\n    ".join([f"{module} ended with status {status}; the end of {log}:", *end]))


def end_programs() -> None:
    """End the forked programs of this process that still run."""
    for process in multiprocessing.active_children():
        if process.name == _FORKED:
            process.terminate()


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _work(module: str, arguments: list[str], output: Connection, environment: dict[str, str]) -> None:
    """The forked program."""
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    _die_with_parent()
    threading.Thread(target=_end_with_study, daemon=True).start()
    os.environ.update(environment)
    sys.argv = [f"{module.rpartition('.')[2]}.py", *arguments]
    status = run_command(lambda: importlib.import_module(module).main(arguments))
    atexit._run_exitfuncs()  # multiprocessing ends its processes without them
    sys.exit(status)


def _end_with_study() -> None:
    study = multiprocessing.parent_process()
    assert study is not None
    study.join()
    os.kill(os.getpid(), signal.SIGKILL)
