"""Runs the parts of ``make gpu``, each in a process group that is ended with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Sequence
from xml.etree import ElementTree

from .gpu_parts import BENCHMARK, TOTAL_SECONDS, Part

Result = dict[str, Any]

PASSED, FAILED, TIMED_OUT, LEFT_OUT = "passed", "failed", "timed out", "left out"

# A launcher needs time to end the processes that it started in other sessions.
GRACE_SECONDS = 5.0
NO_TESTS_COLLECTED = 5
# As tests/conftest.py writes it.
NEEDS_GPU = "needs a GPU"


def run_parts(
    parts: Sequence[Part],
    folder: str | Path,
    root: str | Path,
    *,
    total_seconds: float = TOTAL_SECONDS,
    say: Callable[[str], None] = print,
) -> dict[str, Result]:
    """Run parts one after another; a part that fails or is killed at its limit does not stop the rest.

    Args:
        parts: what to run, in this order.
        folder: for ``<name>.log`` and ``<name>.xml`` or ``<name>.json`` of each part.
        root: the project's folder: the working directory, and first on ``PYTHONPATH``.
        total_seconds: time limit of all parts together.
        say: called with a line when a part begins and when it ends.

    Returns:
        By name of the part: ``kind``; ``status``, ``'passed'``, ``'failed'``, ``'timed out'`` or ``'left out'``;
        ``seconds``; ``why`` it did not pass, else None. Of tests: ``tests``, the numbers of ``passed``, ``failed`` and
        ``skipped``; ``failures`` and ``skips``, lists of ``test`` and ``why``. Of benchmarks: ``rows``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + total_seconds
    results: dict[str, Result] = {}
    for number, part in enumerate(parts, 1):
        limit = min(part.seconds, end - time.monotonic())
        say(f"{number} of {len(parts)}: {part.name}, at most {max(limit, 0):.0f} s")
        results[part.name] = result = run_part(part, folder, Path(root), limit)
        say(f"  {result['status']} in {result['seconds']:.0f} s" + (f": {result['why']}" if result["why"] else ""))
    return results


def all_passed(results: dict[str, Result]) -> bool:
    """Whether every part passed or was left out because the machine lacks something."""
    return all(result["status"] in (PASSED, LEFT_OUT) for result in results.values())


def run_part(part: Part, folder: Path, root: Path, limit: float) -> Result:
    """Run one part, see :func:`run_parts`."""
    is_benchmark = part.kind == BENCHMARK
    out = (folder / f"{part.name}.{'json' if is_benchmark else 'xml'}").absolute()
    out.unlink(missing_ok=True)
    log = folder / f"{part.name}.log"
    started = time.monotonic()
    status = None if limit <= 0 else _run(part, out, log, root, limit)
    result: Result = {"kind": part.kind, "seconds": round(time.monotonic() - started, 1)}
    if is_benchmark:  # no rows if it ended before it wrote them
        result["rows"] = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else []
    else:
        result.update(_read_tests(out))
    if limit <= 0:
        return {**result, "status": TIMED_OUT, "why": "no time was left for it"}
    if status is None:
        return {**result, "status": TIMED_OUT, "why": f"killed after {limit:.0f} s; its output is in {log}"}
    return {**result, **_judge(result, status, log)}


def _run(part: Part, out: Path, log: Path, root: Path, limit: float) -> int | None:
    """The exit status of a part's process, or None if it was killed at its limit."""
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, *(argument.replace("{out}", str(out)) for argument in part.arguments)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen) -> None:
    """End a process and its descendants, so that none of them occupies the GPU."""
    until = time.monotonic() + GRACE_SECONDS
    try:
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < until:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _judge(result: Result, status: int, log: Path) -> Result:
    failed = {"status": FAILED, "why": f"exit status {status}; its output is in {log}"}
    if "rows" in result:
        return {"status": PASSED, "why": None} if status == 0 and result["rows"] else failed
    counts = result["tests"]
    if status not in (0, NO_TESTS_COLLECTED) or counts["failed"]:
        return failed
    if any(skip["why"] == NEEDS_GPU for skip in result["skips"]):
        return {"status": FAILED, "why": f"torch saw no GPU in it; its output is in {log}"}
    if counts["passed"]:
        return {"status": PASSED, "why": None}
    return {"status": LEFT_OUT, "why": result["skips"][0]["why"]} if counts["skipped"] else failed


def _read_tests(path: Path) -> Result:
    """Counts, failures and skips of JUnit's XML; zeros if the process was killed before it wrote the file."""
    result: Result = {"tests": {"passed": 0, "failed": 0, "skipped": 0}, "failures": [], "skips": []}
    if not path.is_file():
        return result
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        bad = [child for child in case if child.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if bad:
            result["failures"].append({"test": name, "why": _first_line(bad[0])})
        elif skipped is not None:
            result["skips"].append({"test": name, "why": _skip_reason(skipped)})
        result["tests"]["failed" if bad else "passed" if skipped is None else "skipped"] += 1
    return result


def _skip_reason(element: ElementTree.Element) -> str:
    """Why a test was skipped; for a skipped module, the reason is the last item of a tuple written as text."""
    of_file = re.search(r"Skipped: (.*?)['\"]?\)\s*$", element.text or "", re.DOTALL)
    return of_file[1] if element.get("message") == "collection skipped" and of_file else _first_line(element)


def _first_line(element: ElementTree.Element) -> str:
    text = element.get("message") or element.text or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")[:300]
