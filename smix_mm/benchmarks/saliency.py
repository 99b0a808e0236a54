"""How long the detectors take, beside OpenCV in the same run."""

from __future__ import annotations

import ctypes
import platform
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ..saliency.base import SaliencyDetector
from ..saliency.fine_grained.detector import FineGrainedSaliency
from ..saliency.frequency_tuned import FrequencyTunedSaliency
from ..saliency.opencv import OpenCVSaliency
from ..saliency.spectral_residual import SpectralResidualSaliency

Row = dict[str, Any]

SIZES = ((32, 32), (224, 224), (375, 500))
BATCHES = (1, 64)
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A detector on a backend; ``backend='opencv'`` is what the others of its name compare with."""

    detector: str
    backend: str
    device: str
    make: Callable[[], SaliencyDetector]


CASES = (
    Case("fine_grained", "opencv", "cpu", lambda: OpenCVSaliency("fine_grained")),
    Case("fine_grained", "torch", "cpu", lambda: FineGrainedSaliency("torch")),
    Case("fine_grained", "numba", "cpu", lambda: FineGrainedSaliency("numba")),
    Case("fine_grained", "torch", "cuda", lambda: FineGrainedSaliency("torch")),
    Case("fine_grained", "triton", "cuda", lambda: FineGrainedSaliency("triton")),
    Case("spectral_residual", "opencv", "cpu", lambda: OpenCVSaliency("spectral_residual")),
    Case("spectral_residual", "torch", "cpu", SpectralResidualSaliency),
    Case("spectral_residual", "torch", "cuda", SpectralResidualSaliency),
    Case("frequency_tuned", "torch", "cpu", FrequencyTunedSaliency),
    Case("frequency_tuned", "torch", "cuda", FrequencyTunedSaliency),
)


def benchmark(
    sizes: Iterable[tuple[int, int]] = SIZES,
    batches: Iterable[int] = BATCHES,
    seconds: float = 5.0,
    threads: int = 1,
) -> dict[str, Any]:
    """Time every case at every size and batch.

    The cases of one size and batch take turns, so that a disturbance of the machine meets them
    all alike, and the fastest round of each counts.

    Args:
        sizes: (height, width) in pixels.
        batches: images a call.
        seconds: for each size and batch, how long the rounds go on; never fewer than 3 rounds.
        threads: of torch (and the numba kernel) and of OpenCV.

    Returns:
        ``machine``: what it ran on; ``rows``: for each case, size and batch a dict with
        ``map_ms`` and ``peak_ms`` (milliseconds an image for the map, and for the place of its
        peak), ``memory_mib`` (most memory that a call for the maps adds, its result included),
        ``floor_ms`` (on a GPU, what reading an image and writing its map take at the memory's
        own speed), ``times_floor`` (``map_ms`` by that) and ``times_opencv`` (OpenCV's ``map_ms``
        by this one's). None: not measured.
    """
    with _threads(threads):
        rows = [row for size in sizes for batch in batches for row in _benchmark_group(size, batch, seconds)]
        return {"machine": describe_machine(), "rows": rows}


def _benchmark_group(size: tuple[int, int], batch: int, seconds: float) -> list[Row]:
    uint8_images = torch.randint(0, 256, (batch, 3, *size), generator=torch.Generator().manual_seed(0))
    rows, running = [], []
    for case in CASES:
        row: Row = {"detector": case.detector, "backend": case.backend, "device": case.device}
        row.update(height=size[0], width=size[1], batch=batch)
        row.update(map_ms=None, peak_ms=None, memory_mib=None, floor_ms=None, times_floor=None, times_opencv=None)
        rows.append(row)
        if case.device == "cuda" and not torch.cuda.is_available():
            continue
        images = uint8_images.to(case.device, torch.uint8)
        try:
            detector = case.make()
            # Compiles kernels and plans, so that neither is timed.
            detector(images[:1])
            detector.peak(images[:1])
        except ImportError as error:
            print(f"{case.detector}, {case.backend}: not measured: {error}", file=sys.stderr)
            continue
        row["memory_mib"] = _peak_memory(detector, images)
        row["floor_ms"] = _bandwidth_floor(images)
        running.append((row, detector, images))
    _take_turns(running, seconds)
    for row in rows:
        reference = next((other for other in rows if _is_reference(other, row)), None)
        if reference and reference["map_ms"] and row["map_ms"]:
            row["times_opencv"] = reference["map_ms"] / row["map_ms"]
        if row["floor_ms"] and row["map_ms"]:
            row["times_floor"] = row["map_ms"] / row["floor_ms"]
    return rows


def _is_reference(other: Row, row: Row) -> bool:
    return other["backend"] == "opencv" and other["detector"] == row["detector"]


def _take_turns(running: Sequence[tuple[Row, SaliencyDetector, Tensor]], seconds: float) -> None:
    """Fill ``map_ms`` and ``peak_ms`` of the rows."""
    until = time.perf_counter() + seconds
    rounds = 0
    while rounds < LEAST_ROUNDS or time.perf_counter() < until:
        rounds += 1
        for row, detector, images in running:
            for key, call in (("map_ms", detector), ("peak_ms", detector.peak)):
                taken = _time(call, images) * 1000 / len(images)
                row[key] = taken if row[key] is None else min(row[key], taken)


def _time(call: Callable[[Tensor], Tensor], images: Tensor) -> float:
    _wait(images)
    start = time.perf_counter()
    call(images)
    _wait(images)
    return time.perf_counter() - start


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()


def _peak_memory(detector: SaliencyDetector, images: Tensor) -> float | None:
    """Most MiB that one call adds, or None where the system cannot say."""
    if images.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        detector(images)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        # Memory that was freed but kept would hide what the call needs.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _process_memory("VmRSS")
        detector(images)
        return (_process_memory("VmHWM") - before) / 2**10
    except (OSError, AttributeError, TypeError):
        return None


def _bandwidth_floor(images: Tensor) -> float | None:
    """Milliseconds an image to read its bytes and write a float a pixel; None off a GPU, or where torch cannot say."""
    if not images.is_cuda:
        return None
    properties = torch.cuda.get_device_properties(images.device)
    # In kHz and bits; memory of double data rate moves its width twice a cycle.
    rate, width = getattr(properties, "memory_clock_rate", 0), getattr(properties, "memory_bus_width", 0)
    bytes_per_ms = 2 * rate * width / 8
    bytes_moved = images[0].numel() + 4 * images[0, 0].numel()
    return bytes_moved / bytes_per_ms if bytes_per_ms else None


def _process_memory(name: str) -> int:
    """A line of /proc/self/status, KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import cv2

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def describe_machine() -> dict[str, Any]:
    """Processor, GPU (None without one), threads and releases."""
    import cv2

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


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; the ratio to OpenCV stands last."""
    lines = [
        "| detector | backend | device | size | batch | map, ms | peak, ms | memory, MiB | x floor | x OpenCV |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        name = " | ".join(row[key] for key in ("detector", "backend", "device"))
        map_ms = _number(row["map_ms"], 4, missing="not measured")
        peak_ms, memory = _number(row["peak_ms"], 4), _number(row["memory_mib"], 1)
        shape = f"{row['height']}x{row['width']} | {row['batch']}"
        floor, ratio = _number(row["times_floor"], 1), _number(row["times_opencv"], 1)
        lines.append(f"| {name} | {shape} | {map_ms} | {peak_ms} | {memory} | {floor} | {ratio} |")
    return "\n".join(lines)


def _number(value: float | None, digits: int, missing: str = "-") -> str:
    return missing if value is None else f"{value:.{digits}f}"


def draw_figure(rows: Sequence[Row], path: str | Path) -> None:
    """Bars of the milliseconds an image at the largest batch, one panel for each size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    batch = max(row["batch"] for row in rows)
    shown = [row for row in rows if row["batch"] == batch and row["map_ms"] is not None]
    sizes = list(dict.fromkeys((row["height"], row["width"]) for row in shown))
    figure = Figure(figsize=(4.5 * len(sizes), 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, size in zip(figure.subplots(1, len(sizes), squeeze=False)[0], sizes):
        here = [row for row in shown if (row["height"], row["width"]) == size]
        names = [f"{row['detector']}, {row['backend']} {row['device']}" for row in here]
        colours = ["tab:gray" if row["backend"] == "opencv" else "tab:blue" for row in here]
        bars = panel.barh(names, [row["map_ms"] for row in here], color=colours)
        panel.bar_label(bars, fmt="%.3g", padding=2)
        panel.set_xscale("log")
        panel.margins(x=0.2)
        panel.invert_yaxis()
        panel.set_title(f"{size[0]}x{size[1]}, batch {batch}")
        panel.set_xlabel("ms an image")
        if panel is not figure.axes[0]:
            panel.set_yticklabels([])
    figure.savefig(path, dpi=150)
