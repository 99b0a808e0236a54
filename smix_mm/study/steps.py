"""Steps of a study: each in a folder of its own, done once, and taken up again where it was."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Sequence

from ..utils.errors import StepError
from ..utils.files import content_hash, file_hash, write_json
from .fork_server import Process, die_with_parent

LOG = "step.log"
MARKER = "step.json"
LOG_LINES_SHOWN = 5

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: what the progress line calls it.
        folder: where it works; nothing else may live there.
        inputs: what its result depends on, by name, anything JSON can hold. A step that was
            finished with other inputs is done again, and the name of what changed is said.
        outputs: files (names inside ``folder``) that exist when it is done.
        work: does it; is handed the step.
    """

    name: str
    folder: Path
    inputs: Mapping[str, Any]
    outputs: tuple[str, ...]
    work: Callable[[Step], None] = field(compare=False)

    def output(self, index: int = 0) -> Path:
        return self.folder / self.outputs[index]


def run_step(step: Step, say: Tell) -> bool:
    """Do a step unless it is done; whether there was anything to do.

    A step counts as done when its marker says so, its inputs are the same and its outputs still
    have the content they had. One that was interrupted goes on in its folder; one whose inputs
    changed begins in an empty folder.

    Raises:
        StepError: the work failed, or did not leave its outputs.
    """
    inputs = {name: content_hash(value) for name, value in step.inputs.items()}
    reason = stale_reason(step)
    if reason is None:
        say(f"{step.name}: finished before")
        return False
    if reason:
        say(f"{step.name}: done again, because {reason}")
    marker = read_marker(step.folder)
    if reason or marker is None:
        shutil.rmtree(step.folder, ignore_errors=True)
        step.folder.mkdir(parents=True)
        write_json(step.folder / MARKER, dict(inputs=inputs, outputs={}))
    started = time.monotonic()
    step.work(step)
    absent = [name for name in step.outputs if not (step.folder / name).is_file()]
    if absent:
        raise StepError(f"{step.name} left no {', '.join(absent)} in {step.folder}")
    seconds = time.monotonic() - started
    hashes = {name: file_hash(step.folder / name) for name in step.outputs}
    write_json(step.folder / MARKER, dict(inputs=inputs, outputs=hashes, seconds=round(seconds, 1)))
    say(f"{step.name}: done in {seconds:.0f} s")
    return True


def stale_reason(step: Step) -> str | None:
    """None for a step that is done; else the reason why it is done anew, empty where it just is not finished."""
    marker = read_marker(step.folder)
    if marker is None:
        return ""
    inputs = {name: content_hash(value) for name, value in step.inputs.items()}
    if marker["inputs"] != inputs:
        changed = sorted(
            name for name in {*inputs, *marker["inputs"]} if inputs.get(name) != marker["inputs"].get(name)
        )
        return f"of a change in: {', '.join(changed)}"
    if not marker["outputs"]:
        return ""
    damaged = damaged_outputs(step.folder, marker)
    return f"{', '.join(damaged)} is missing or was changed" if damaged else None


def read_marker(folder: Path) -> dict[str, Any] | None:
    """What a step's folder says of it: ``inputs``, ``outputs`` (empty: not finished), perhaps ``seconds``."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    complete = isinstance(marker, dict) and isinstance(marker.get("inputs"), dict)
    return marker if complete and isinstance(marker.get("outputs"), dict) else None


def damaged_outputs(folder: Path, marker: Mapping[str, Any]) -> list[str]:
    """Names of outputs that are missing or have not the content they had when the step was finished."""
    hashes = marker["outputs"]
    return [name for name in hashes if not (folder / name).is_file() or file_hash(folder / name) != hashes[name]]


def run_command(step: Step, command: list[str], environment: Mapping[str, str], watch: Tell) -> None:
    """Run a program as a step's work: its output goes into the step's log.

    The program does not outlive this process, however that ends.

    Args:
        step: in whose folder the log stands.
        command: program and arguments.
        environment: variables of the program.
        watch: is handed every line of its output.

    Raises:
        StepError: it ended with a status other than 0.
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
    follow_process(step, process, command, watch)


def follow_process(step: Step, process: Process, command: Sequence[str], watch: Tell) -> None:
    """Write what a process says into the step's log until it ends; if this is interrupted, end it.

    Args:
        step: in whose folder the log stands.
        process: was started with ``command``.
        command: as the log shows it.
        watch: is handed every line of its output.

    Raises:
        StepError: it ended with a status other than 0.
    """
    log = step.folder / LOG
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        try:
            assert process.stdout is not None
            _copy(process.stdout, file, watch)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status != 0:
        raise StepError(f"{step.name} ended with status {status}; the end of {log}:\n    " + "\n    ".join(tail(log)))


def tail(log: Path) -> list[str]:
    """The last lines of a log."""
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]


def _copy(lines: Iterable[str], log: Any, watch: Tell) -> None:
    for line in lines:
        log.write(line)
        log.flush()
        watch(line)
