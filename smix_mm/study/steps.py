"""Steps of a study: each works in its own folder, is executed once, and resumes after an interruption."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from ..utils.errors import StepError
from ..utils.files import content_hash, file_hash, write_json
from .fork_server import Process, die_with_parent

LOG = "step.log"
MARKER = "step.json"
LOG_LINES_SHOWN = 5

LineCallback = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: for messages.
        folder: its working folder, which holds nothing else.
        inputs: what its result depends on, by name; values are anything JSON can hold. A finished step is
            executed again when they change, and the message names the inputs that changed.
        outputs: names of the files in ``folder`` that exist when it is finished.
        work: executes it, given the step.
    """

    name: str
    folder: Path
    inputs: Mapping[str, Any]
    outputs: tuple[str, ...]
    work: Callable[[Step], None] = field(compare=False)

    def output(self, index: int = 0) -> Path:
        return self.folder / self.outputs[index]


def run_step(step: Step, log: LineCallback) -> bool:
    """Execute a step unless it is finished.

    A step is finished if its marker file lists its outputs, its inputs have not changed and its outputs still
    have the same content. An interrupted step continues in its folder; one whose inputs or outputs changed starts in an
    empty folder.

    Args:
        step: the step.
        log: called with each message.

    Returns:
        whether it was executed.

    Raises:
        StepError: the work failed, or did not write its outputs.
    """
    inputs = {name: content_hash(value) for name, value in step.inputs.items()}
    marker = read_marker(step.folder)
    changed = None if marker is None else _what_changed(step, inputs, marker)
    if marker is not None and marker["outputs"] and not changed:
        log(f"{step.name}: finished before")
        return False
    if changed:
        log(f"{step.name}: done again, because {changed}")
    if marker is None or changed:
        shutil.rmtree(step.folder, ignore_errors=True)
        step.folder.mkdir(parents=True)
        write_json(step.folder / MARKER, dict(inputs=inputs, outputs={}))
    started = time.monotonic()
    step.work(step)
    missing = [name for name in step.outputs if not (step.folder / name).is_file()]
    if missing:
        raise StepError(f"{step.name} did not write {', '.join(missing)} into {step.folder}.")
    seconds = time.monotonic() - started
    hashes = {name: file_hash(step.folder / name) for name in step.outputs}
    write_json(step.folder / MARKER, dict(inputs=inputs, outputs=hashes, seconds=round(seconds, 1)))
    log(f"{step.name}: done in {seconds:.0f} s")
    return True


def _what_changed(step: Step, inputs: Mapping[str, str], marker: Mapping[str, Any]) -> str | None:
    """Why a step that was started before has to start again, or None."""
    before = marker["inputs"]
    changed = sorted(name for name in {*inputs, *before} if inputs.get(name) != before.get(name))
    if changed:
        return f"of a change in: {', '.join(changed)}"
    damaged = damaged_outputs(step.folder, marker)
    return f"{', '.join(damaged)} is missing or was changed" if damaged else None


def read_marker(folder: Path) -> dict[str, Any] | None:
    """The marker file of a step: ``inputs``, ``outputs`` (empty until it is finished) and, if finished, ``seconds``."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    complete = isinstance(marker, dict) and isinstance(marker.get("inputs"), dict)
    return marker if complete and isinstance(marker.get("outputs"), dict) else None


def damaged_outputs(folder: Path, marker: Mapping[str, Any]) -> list[str]:
    """Names of outputs that are missing or whose content has changed since the step finished."""
    hashes = marker["outputs"]
    return [name for name in hashes if not (folder / name).is_file() or file_hash(folder / name) != hashes[name]]


def run_command(step: Step, command: list[str], environment: Mapping[str, str], on_line: LineCallback) -> None:
    """Run a program as a step's work, with its output in the step's log.

    The program ends when this process ends, even if that is killed.

    Args:
        step: the step; its folder holds the log.
        command: program and arguments.
        environment: variables of the program.
        on_line: called with each line of its output.

    Raises:
        StepError: its exit status was not 0.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=dict(environment),
        preexec_fn=die_with_parent,
    )
    follow_process(step, process, command, on_line)


def follow_process(step: Step, process: Process, command: Sequence[str], on_line: LineCallback) -> None:
    """Write a process's output into the step's log until it ends; on an exception, terminate it.

    Args:
        step: the step; its folder holds the log.
        process: was started with ``command``.
        command: as shown in the log.
        on_line: called with each line of its output.

    Raises:
        StepError: its exit status was not 0.
    """
    log = step.folder / LOG
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        try:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                file.flush()
                on_line(line)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status != 0:
        end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise StepError("\n    ".join([f"{step.name} ended with status {status}; the end of {log}:", *end]))
