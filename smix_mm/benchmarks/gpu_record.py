"""The file that ``make gpu`` leaves for each card, and what others read from it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Mapping

from ..utils.files import write_json
from .gpu_parts import CIFAR_STEPS, IMAGENET_STEP
from .gpu_run import Result, all_passed

Record = dict[str, Any]

FOLDER = "gpu"

# Asked in a process of its own, so that the one that waits for the parts takes nothing of the GPU.
_PROBE = """
import json, os, platform
from importlib.metadata import PackageNotFoundError, version
import torch
def release(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
found = torch.cuda.is_available()
print(json.dumps({
    "card": torch.cuda.get_device_name() if found else None,
    "memory_gib": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1) if found else None,
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "cudnn": torch.backends.cudnn.version() if found else None,
    "python": platform.python_version(),
    "cpus": os.cpu_count(),
    **{name: release(name) for name in ("triton", "numba", "mmengine", "onedl-mmengine", "onedl-mmcv",
       "onedl-mmpretrain", "onedl-mmdetection")},
}))
"""

# What the arms of the benchmark of training steps are called in the names of configs.
_ARMS = {
    "no mixing": "baseline",
    "CutMix": "cutmix",
    "SaliencyMix": "saliencymix",
    "OfficialSaliencyMix": "official-saliencymix",
}


def describe_machine() -> dict[str, Any]:
    """The card (``card`` is None without one), its driver, and the releases that matter here."""
    probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120)
    if probe.returncode:
        raise RuntimeError(f"torch does not say which GPU there is: {probe.stderr.strip().splitlines()[-1]}")
    machine = json.loads(probe.stdout.strip().splitlines()[-1])
    machine = {name: value for name, value in machine.items() if value is not None or name == "card"}
    driver = _ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {**machine, "driver": driver.splitlines()[0].strip() if driver else None}


def make_record(machine: Mapping[str, Any], results: Mapping[str, Result], root: str | Path) -> Record:
    """What a run is kept as: machine, date, commit, and the results of :func:`~.gpu_run.run_parts`."""
    commit = _ask("git", "rev-parse", "HEAD", cwd=root)
    changes = _ask("git", "status", "--porcelain", cwd=root)
    return {
        "machine": dict(machine),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit.strip() if commit else None,
        # None: it was no checkout of git.
        "uncommitted_changes": None if commit is None or changes is None else bool(changes.strip()),
        "all_passed": all_passed(dict(results)),
        "parts": dict(results),
    }


def write_record(folder: str | Path, record: Record) -> Path:
    """Write ``<folder>/<card>.json``, whole or not at all; the latest run of a card counts, whatever came of it."""
    path = Path(folder) / f"{slug(record['machine']['card'])}.json"
    write_json(path, record)
    return path


def slug(card: str) -> str:
    """A card's name as a file's: ``'NVIDIA H100 80GB HBM3'`` is ``'nvidia-h100-80gb-hbm3'``."""
    return re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")


def read_records(results: str | Path) -> list[Record]:
    """Every card's record under ``<results>/gpu``, in the order of the files; none where there is no such folder.

    Raises:
        ValueError: a file is no such record; the message names it.
    """
    records = []
    for path in sorted((Path(results) / FOLDER).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is no JSON: {error}") from error
        if not isinstance(record, dict) or not {"machine", "date", "parts"} <= set(record):
            raise ValueError(f"{path} should be a record of `make gpu`, with machine, date and parts")
        records.append(record)
    return records


def find_row(record: Record, part: str, **values: Any) -> dict[str, Any]:
    """The row of a benchmark that has these values, or an empty one."""
    rows = record["parts"].get(part, {}).get("rows", [])
    return next((row for row in rows if all(row.get(name) == value for name, value in values.items())), {})


def step_times(record: Record) -> dict[str, dict[str, Any]]:
    """By config, a path from the project's root: ``seconds`` of a training step, and the ``device``.

    Steps are those of the config's own batch, with images already in the GPU's memory.
    """
    card = record["machine"]["card"]
    found = {}
    for part, configs in (("cifar-step", CIFAR_STEPS), ("imagenet-step", (IMAGENET_STEP,))):
        for config in configs:
            for arm, name in _ARMS.items():
                row = find_row(record, part, config=config, arm=arm)
                if row.get("median_ms"):
                    device = f"{card} in mixed precision" if row["amp"] else card
                    seconds = row["median_ms"] / 1000
                    found[config.replace("_baseline", f"_{name}")] = {"seconds": seconds, "device": device}
    return found


def _ask(*command: str, cwd: str | Path | None = None) -> str | None:
    """What a program prints, or None where it is not there or fails."""
    try:
        asked = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout if asked.returncode == 0 else None
