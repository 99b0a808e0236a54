"""The parts of ``make gpu``, every test that needs a GPU and the benchmarks, each run in a process group of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence
from xml.etree import ElementTree

Result = dict[str, Any]

TOTAL_SECONDS = 410.0
"""Limit of all parts together. Their own limits add up to more; if one part hangs, there is time for the rest."""

# Without the options of pyproject.toml, which need plugins that the machine may lack.
PYTEST = (
    *("-m", "pytest", "-v", "--durations=5", "-p", "no:cacheprovider"),
    *("-o", "addopts=", "--import-mode=importlib", "--strict-markers"),
    *("--junit-xml={out}", "-m", "gpu"),
)


@dataclass(frozen=True)
class Part:
    """A command with a time limit, run in its own process."""

    name: str  # also of its files
    kind: str  # "tests", which writes JUnit's XML, or "benchmark", which writes JSON with "rows"
    arguments: tuple[str, ...]  # of this Python; {out} is replaced by the file to write
    seconds: float  # time limit, an estimate: never run on a GPU


def tests(name: str, seconds: float, *paths: str) -> Part:
    return Part(name, "tests", (*PYTEST, *paths), seconds)


def benchmark(name: str, seconds: float, *arguments: str) -> Part:
    return Part(name, "benchmark", (*arguments, "--out", "{out}"), seconds)


CIFAR_STEPS = tuple(f"configs/cifar10/{net}_baseline_cifar10.py" for net in ("resnet18", "resnet50", "wrn-28-10"))
IMAGENET_STEP = "configs/imagenet/resnet50_baseline_in1k.py"

PARTS = (
    tests("saliency-tests", 75, "tests/saliency/test_gpu.py"),
    tests("mixing-tests", 110, "tests/mixing/test_gpu.py", "tests/batch_augments/test_gpu.py"),
    tests("fast-path-tests", 75, "tests/datasets/test_gpu.py"),
    tests("training-tests", 180, "tests/engine/test_gpu.py"),
    tests("detection-tests", 100, "tests/end_to_end/test_gpu.py", "tests/utils/test_torchvision_operators.py"),
    benchmark("saliency", 45, "tools/benchmark_saliency.py", "--device", "cuda"),
    benchmark(
        "imagenet-step", 70, "tools/benchmark_training.py", IMAGENET_STEP, "--batch", "256", "--size", "224",
        "--device", "cuda", "--amp", "--iterations", "5", "--rounds", "6",
    ),
    benchmark("fast-path", 60, "tools/benchmark_cifar.py", "--made-up", "--rounds", "3"),
    benchmark(
        "cifar-step", 60, "tools/benchmark_training.py", *CIFAR_STEPS, "--batch", "128", "--size", "32",
        "--device", "cuda", "--iterations", "5", "--rounds", "5",
    ),
)  # fmt: skip

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
    out = (folder / f"{part.name}.{'json' if part.kind == 'benchmark' else 'xml'}").absolute()
    out.unlink(missing_ok=True)
    log = folder / f"{part.name}.log"
    started = time.monotonic()
    status = None if limit <= 0 else _run(part, out, log, root, limit)
    result: Result = {"kind": part.kind, "seconds": round(time.monotonic() - started, 1)}
    if part.kind == "benchmark":  # no rows if it ended before it wrote them
        result["rows"] = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else []
    else:
        result.update(_read_tests(out))
    if status is None:
        why = f"killed after {limit:.0f} s; its output is in {log}" if limit > 0 else "no time was left for it"
        return {**result, "status": TIMED_OUT, "why": why}
    return {**result, **_judge(result, status, log)}


def _run(part: Part, out: Path, log: Path, root: Path, limit: float) -> int | None:
    """The exit status of a part's process, or None if it was killed at its limit."""
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, *(argument.replace("{out}", str(out)) for argument in part.arguments)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with open(log, "w") as file:
        options: dict[str, Any] = dict(stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        process = subprocess.Popen(command, cwd=root, env=env, start_new_session=True, **options)
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
    passed, failed = ({"status": each, "why": None} for each in (PASSED, FAILED))
    failed["why"] = f"exit status {status}; its output is in {log}"
    if "rows" in result:
        return passed if status == 0 and result["rows"] else failed
    counts, skips = result["tests"], result["skips"]
    if status not in (0, NO_TESTS_COLLECTED) or counts["failed"]:
        return failed
    if any(skip["why"] == NEEDS_GPU for skip in skips):
        return {"status": FAILED, "why": f"torch saw no GPU in it; its output is in {log}"}
    if counts["passed"]:
        return passed
    return {"status": LEFT_OUT, "why": skips[0]["why"]} if skips else failed


def _read_tests(path: Path) -> Result:
    """Counts, failures and skips of JUnit's XML; zeros if the process was killed before it wrote the file."""
    failures, skips, passed = [], [], 0
    for case in ElementTree.parse(path).getroot().iter("testcase") if path.is_file() else ():
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        bad = [child for child in case if child.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if bad:
            failures.append({"test": name, "why": _first_line(bad[0])})
        elif skipped is not None:
            skips.append({"test": name, "why": _skip_reason(skipped)})
        else:
            passed += 1
    counts = {"passed": passed, "failed": len(failures), "skipped": len(skips)}
    return {"tests": counts, "failures": failures, "skips": skips}


def _skip_reason(element: ElementTree.Element) -> str:
    """Why a test was skipped; for a skipped module, the reason is the last item of a tuple written as text."""
    of_file = re.search(r"Skipped: (.*?)['\"]?\)\s*$", element.text or "", re.DOTALL)
    return of_file[1] if element.get("message") == "collection skipped" and of_file else _first_line(element)


def _first_line(element: ElementTree.Element) -> str:
    text = element.get("message") or element.text or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")[:300]
