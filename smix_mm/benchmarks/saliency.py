"""How long the saliency detectors take: beside OpenCV in the same run, and the default detector on one device."""

from __future__ import annotations

import ctypes
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable, NamedTuple, Sequence

import torch
from torch import Tensor
from torch.utils.benchmark import Timer, timer

from ..saliency import (
    FineGrainedSaliency,
    FrequencyTunedSaliency,
    OpenCVSaliency,
    SaliencyDetector,
    SpectralResidualSaliency,
)
from ..utils.errors import UsageError
from ..utils.files import save_figure
from ..utils.text import markdown_table
from .machine import describe_machine, device_type

Row = dict[str, Any]

SIZES = ((32, 32), (224, 224), (375, 500))
BATCHES = (1, 64)
MIN_ROUNDS = 3

DEVICE_SHAPES = ((256, 224, 224), (128, 32, 32), (1, 224, 224), (64, 375, 500))
"""(images, height, width) of a batch for :func:`benchmark_on_device`."""


class Case(NamedTuple):
    """A detector on a backend; the others of its name are compared with ``backend='opencv'``."""

    detector: str
    backend: str
    device: str
    make: Callable[[], SaliencyDetector]


CASES = (
    Case("fine_grained", "opencv", "cpu", partial(OpenCVSaliency, "fine_grained")),
    Case("fine_grained", "torch", "cpu", partial(FineGrainedSaliency, "torch")),
    Case("fine_grained", "numba", "cpu", partial(FineGrainedSaliency, "numba")),
    Case("fine_grained", "torch", "cuda", partial(FineGrainedSaliency, "torch")),
    Case("fine_grained", "triton", "cuda", partial(FineGrainedSaliency, "triton")),
    Case("spectral_residual", "opencv", "cpu", partial(OpenCVSaliency, "spectral_residual")),
    Case("spectral_residual", "torch", "cpu", SpectralResidualSaliency),
    Case("spectral_residual", "torch", "cuda", SpectralResidualSaliency),
    Case("frequency_tuned", "torch", "cpu", FrequencyTunedSaliency),
    Case("frequency_tuned", "torch", "cuda", FrequencyTunedSaliency),
)
NOT_MEASURED: Row = dict.fromkeys(("map_ms", "peak_ms", "memory_mib", "floor_ms", "times_floor", "times_opencv"))


def benchmark(
    sizes: Iterable[tuple[int, int]] = SIZES, batches: Iterable[int] = BATCHES, seconds: float = 5.0, threads: int = 1
) -> dict[str, Any]:
    """Time every case at every size and batch.

    The cases of one size and batch take turns, so that a disturbance of the machine affects all of them, and the
    fastest round of each counts.

    Arguments: see ``tools/benchmark_saliency.py --help``; there are never fewer than 3 rounds.

    Returns:
        ``machine``: what it ran on; ``rows``: for each case, size and batch a dict with
        ``map_ms`` and ``peak_ms`` (milliseconds an image for the map, and for the place of its
        peak), ``memory_mib`` (most memory that a call for the maps adds, its result included),
        ``floor_ms`` (on a GPU, a copy that moves as many bytes as an image and its map have),
        ``times_floor`` (``map_ms`` over that) and ``times_opencv`` (OpenCV's ``map_ms``
        over this one's). None: not measured.
    """
    import cv2

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    try:
        rows = [row for size in sizes for batch in batches for row in _benchmark_group(size, batch, seconds)]
        return {"machine": describe_machine(), "rows": rows}
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _benchmark_group(size: tuple[int, int], batch: int, seconds: float) -> list[Row]:
    uint8_images = torch.randint(0, 256, (batch, 3, *size), generator=torch.Generator().manual_seed(0))
    rows, running = [], []
    for case in CASES:
        row: Row = {"detector": case.detector, "backend": case.backend, "device": case.device}
        row.update(height=size[0], width=size[1], batch=batch, **NOT_MEASURED)
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
        if images.is_cuda:
            row["floor_ms"] = _copy_ms(images.numel() + 4 * images[:, 0].numel(), "cuda") / batch
        running.append((row, detector, images))
    until, rounds = timer() + seconds, 0
    while rounds < MIN_ROUNDS or timer() < until:
        rounds += 1
        for row, detector, images in running:
            for key, call in (("map_ms", detector), ("peak_ms", detector.peak)):
                start = timer()
                call(images)
                milliseconds = (timer() - start) * 1000 / batch
                row[key] = milliseconds if row[key] is None else min(row[key], milliseconds)
    references = {row["detector"]: row["map_ms"] for row in rows if row["backend"] == "opencv"}
    for row, _, _ in running:
        if references.get(row["detector"]):
            row["times_opencv"] = references[row["detector"]] / row["map_ms"]
        if row["floor_ms"]:
            row["times_floor"] = row["map_ms"] / row["floor_ms"]
    return rows


def _peak_memory(detector: SaliencyDetector, images: Tensor) -> float | None:
    """Most MiB that one call adds, or None if the system does not report it."""
    if images.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        detector(images)
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    def used(name: str) -> int:  # KiB
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    try:
        # Memory that was freed but not returned to the system would hide what the call needs.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = used("VmRSS")
        detector(images)
        return (used("VmHWM") - before) / 2**10
    except (OSError, AttributeError, TypeError):
        return None


def format_table(rows: Sequence[Row]) -> str:
    """The rows of :func:`benchmark` as a Markdown table."""
    header = ("detector", "backend", "device", "size", "batch", "map, ms", "peak, ms", "memory, MiB")
    cells = []
    for row in rows:
        case = (row["detector"], row["backend"], row["device"], f"{row['height']}x{row['width']}", row["batch"])
        times = (_number(row["map_ms"], 4, missing="not measured"), _number(row["peak_ms"], 4))
        cells.append((*case, *times, *(_number(row[key], 1) for key in ("memory_mib", "times_floor", "times_opencv"))))
    return markdown_table((*header, "x floor", "x OpenCV"), cells, "llllr")


def _number(value: float | None, digits: int, missing: str = "-") -> str:
    return missing if value is None else f"{value:.{digits}f}"


def draw_figure(rows: Sequence[Row], path: str | Path) -> None:
    """Bars of the milliseconds an image at the largest batch, one panel for each size."""
    from matplotlib.figure import Figure

    batch = max(row["batch"] for row in rows)
    shown = [row for row in rows if row["batch"] == batch and row["map_ms"] is not None]
    sizes = list(dict.fromkeys((row["height"], row["width"]) for row in shown))
    figure = Figure(figsize=(4.5 * len(sizes), 3.5), layout="constrained")
    for panel, size in zip(figure.subplots(1, len(sizes), squeeze=False)[0], sizes):
        here = [row for row in shown if (row["height"], row["width"]) == size]
        names = [f"{row['detector']}, {row['backend']} {row['device']}" for row in here]
        colours = ["tab:gray" if row["backend"] == "opencv" else "tab:blue" for row in here]
        panel.bar_label(panel.barh(names, [row["map_ms"] for row in here], color=colours), fmt="%.3g", padding=2)
        panel.set(xscale="log", xlabel="ms an image", title=f"{size[0]}x{size[1]}, batch {batch}")
        panel.margins(x=0.2)
        panel.invert_yaxis()
        if panel is not figure.axes[0]:
            panel.set_yticklabels([])
    save_figure(figure, path, dpi=150)


def benchmark_on_device(
    device: str = "cuda", shapes: Iterable[tuple[int, int, int]] = DEVICE_SHAPES, calls: int = 20, rounds: int = 5
) -> list[Row]:
    """Time the default detector's map and the place of its peak for batches of noise that are already on the device.

    The same batch is used in every call, so it may lie in the device's cache.

    Args:
        device: such as ``'cuda'``; on a CPU there is no CUDA graph.
        shapes: (images, height, width) of the batches.
        calls, rounds: a time is the median over rounds of so many calls; of plain torch, of one call.

    Returns:
        For each shape and ``what``, ``'map'`` or ``'peak'``, a dict with ``batch``, ``height``,
        ``width``, ``device`` and milliseconds a call: ``called_ms``; ``captured_ms``, replayed from a
        CUDA graph (None on a CPU); ``torch_ms``, by ``FineGrainedSaliency('torch')``; ``floor_ms``, a
        copy that reads and writes as many bytes as the batch and, for the map, its result have.

    Raises:
        UsageError: there is no such device.
    """
    if device_type(device) == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device!r} needs a GPU, but torch sees none.")
    rows = []
    for batch, height, width in shapes:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator).to(device)
        fast, plain = FineGrainedSaliency(), FineGrainedSaliency("torch")
        for what, bytes_moved in (("map", images.numel() + 4 * images[:, 0].numel()), ("peak", images.numel())):
            row: Row = {"what": what, "batch": batch, "height": height, "width": width, "device": device}
            call, torch_call = (
                partial(detector if what == "map" else detector.peak, images) for detector in (fast, plain)
            )
            row["called_ms"] = _median_ms(call, calls, rounds)
            row["captured_ms"] = _median_ms(_capture(call), calls, rounds) if images.is_cuda else None
            row["torch_ms"] = _median_ms(torch_call, 1, rounds)
            row["floor_ms"] = _copy_ms(bytes_moved, device, calls, rounds)
            rows.append(row)
    return rows


def _median_ms(call: Callable[[], object], calls: int, rounds: int) -> float:
    # torch's timer lets the device finish each round before the clock is read.
    clock = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    return statistics.median(clock.timeit(calls).mean * 1000 for _ in range(rounds))


def _copy_ms(bytes_moved: int, device: str, calls: int = 20, rounds: int = 5) -> float:
    """Milliseconds of a copy that reads and writes so many bytes together: the floor for any kernel that does."""
    source = torch.zeros(bytes_moved // 2, dtype=torch.uint8, device=device)
    return _median_ms(partial(torch.empty_like(source).copy_, source), calls, rounds)


def _capture(call: Callable[[], Tensor]) -> Callable[[], None]:
    """A function that replays a call from a CUDA graph."""
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def format_device_table(rows: Sequence[Row]) -> str:
    """The rows of :func:`benchmark_on_device` as a Markdown table."""
    header = ("what", "batch", "device", "captured, ms", "called, ms", "plain torch, ms", "copy of as many bytes, ms")
    keys = ("captured_ms", "called_ms", "torch_ms", "floor_ms")
    cells = []
    for row in rows:
        shape = f"{row['batch']}x3x{row['height']}x{row['width']}"
        cells.append((row["what"], shape, row["device"], *(_number(row[key], 3) for key in keys)))
    return markdown_table(header, cells, "lllr")
