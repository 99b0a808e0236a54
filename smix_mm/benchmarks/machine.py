"""What the benchmarks share: the machine, as it is written beside the figures; turns; medians and quartiles."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, Sequence, TypeVar

from ..utils.errors import PackageError, UsageError

Arm = TypeVar("Arm")

# Run in another process, so that the one that waits for the parts of `make gpu` holds no memory of the GPU.
_PROBE = """
import json, os, platform, torch
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
releases = {}
for name in ("triton", "numba", "mmengine", "onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection"):
    with suppress(PackageNotFoundError):
        releases[name] = version(name)
found = torch.cuda.is_available()
print(json.dumps({
    "card": torch.cuda.get_device_name() if found else None,
    "memory_gib": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1) if found else None,
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "cudnn": torch.backends.cudnn.version() if found else None,
    "python": platform.python_version(),
    "cpus": os.cpu_count(),
    **releases,
}))
"""


def describe_machine() -> dict[str, Any]:
    """``processor``, ``gpu`` (None without one), ``threads``, and the releases ``python``, ``torch`` and ``opencv``."""
    import cv2
    import torch

    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    return {
        "processor": processor,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
    }


def describe_gpu_machine() -> dict[str, Any]:
    """The ``card`` (None without one), its ``driver``, and the releases that affect the figures.

    A PackageError if torch does not import or cannot use the GPU.
    """
    probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120)
    if probe.returncode:
        raise PackageError(f"torch cannot describe the GPU: {probe.stderr.strip().splitlines()[-1]}")
    machine = json.loads(probe.stdout.strip().splitlines()[-1])
    machine = {name: value for name, value in machine.items() if value is not None or name == "card"}
    driver = output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return {**machine, "driver": driver.splitlines()[0].strip() if driver else None}


def in_turns(arms: Sequence[Arm], rounds: int) -> Iterator[tuple[int, Arm]]:
    """(round, arm) in an order in which a disturbance of the machine affects all arms.

    Every other round is in reverse, so that no arm always follows the same one.
    """
    for number in range(rounds):
        for arm in arms[:: -1 if number % 2 else 1]:
            yield number, arm


def median_and_quartiles(values: Sequence[float]) -> tuple[float, list[float]]:
    """The median, and the first and third quartile."""
    import numpy as np

    return statistics.median(values), np.quantile(values, [0.25, 0.75]).tolist()


def device_type(device: str) -> str:
    """The type of a device of torch, such as ``'cuda'`` of ``'cuda:1'``; a UsageError if torch has no such device."""
    import torch

    try:
        return torch.device(device).type
    except RuntimeError as error:
        raise UsageError(f"device should be one of torch's, such as 'cpu' or 'cuda', got {device!r}.") from error


def output_of(*command: str, cwd: str | Path | None = None) -> str | None:
    """What a program prints on stdout, or None if it does not exist or fails."""
    try:
        finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout if finished.returncode == 0 else None
