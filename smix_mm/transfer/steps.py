"""Steps of a study: each in a folder of its own, done once, and taken up again where it was."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping

from ..fileio import content_hash, file_hash, write_json

LOG = "step.log"
MARKER = "step.json"
_LOG_LINES_SHOWN = 5
_SECONDS_BETWEEN_LINES = 10


class StepError(RuntimeError):
    """A step failed; the message ends with the last lines of its log."""


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


def run_step(step: Step, say: Callable[[str], None]) -> bool:
    """Do a step unless it is done; whether there was anything to do.

    A step counts as done when its marker says so, its inputs are the same and its outputs still
    have the content they had. One that was interrupted goes on in its folder; one whose inputs
    changed begins in an empty folder.

    Raises:
        StepError: the work failed, or did not leave its outputs.
    """
    inputs = {name: content_hash(value) for name, value in step.inputs.items()}
    marker = _read_marker(step.folder)
    if marker is not None and marker["inputs"] != inputs:
        changed = sorted(name for name in inputs | marker["inputs"] if inputs.get(name) != marker["inputs"].get(name))
        say(f"{step.name}: done again, because of a change in: {', '.join(changed)}")
        marker = None
    if marker is not None and marker["outputs"]:
        damaged = _damaged(step, marker["outputs"])
        if not damaged:
            say(f"{step.name}: finished before")
            return False
        say(f"{step.name}: done again, because {', '.join(damaged)} is missing or was changed")
        marker = None
    if marker is None:
        shutil.rmtree(step.folder, ignore_errors=True)
        step.folder.mkdir(parents=True)
        write_json(step.folder / MARKER, dict(inputs=inputs, outputs={}))
    started = time.monotonic()
    step.work(step)
    absent = [name for name in step.outputs if not (step.folder / name).is_file()]
    if absent:
        raise StepError(f"{step.name} left no {', '.join(absent)} in {step.folder}")
    hashes = {name: file_hash(step.folder / name) for name in step.outputs}
    write_json(step.folder / MARKER, dict(inputs=inputs, outputs=hashes))
    say(f"{step.name}: done in {time.monotonic() - started:.0f} s")
    return True


def _read_marker(folder: Path) -> dict[str, Any] | None:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    complete = isinstance(marker, dict) and isinstance(marker.get("inputs"), dict) and "outputs" in marker
    return marker if complete else None


def _damaged(step: Step, hashes: Mapping[str, str]) -> list[str]:
    paths = {name: step.folder / name for name in step.outputs}
    return [name for name, path in paths.items() if not path.is_file() or file_hash(path) != hashes.get(name)]


def run_command(step: Step, command: list[str], environment: Mapping[str, str]) -> None:
    """Run a program as a step's work: its output into the step's log, its progress onto the screen.

    The program does not outlive this process, however that ends.

    Raises:
        StepError: it ended with a status other than 0.
    """
    log = step.folder / LOG
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=dict(environment),
            preexec_fn=_die_with_parent,
        )
        try:
            assert process.stdout is not None
            _follow(process.stdout, file, step.name)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status != 0:
        last = log.read_text(encoding="utf-8").splitlines()[-_LOG_LINES_SHOWN:]
        raise StepError(f"{step.name} ended with status {status}; the end of {log}:\n    " + "\n    ".join(last))


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _follow(lines: Any, log: Any, name: str) -> None:
    """Copy lines to the log; show those that tell progress: in place on a terminal, else now and then."""
    live = sys.stdout.isatty()
    shown = time.monotonic()
    for line in lines:
        log.write(line)
        log.flush()
        _, found, progress = line.partition("Epoch(")
        if not found:
            continue
        text = f"  {name}: Epoch({' '.join(progress.split())}"
        if live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:<{width}}", end="", flush=True)
        elif time.monotonic() - shown > _SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            print(text[:110], flush=True)
    if live:
        print("\r" + " " * (shutil.get_terminal_size().columns - 1), end="\r", flush=True)
