"""How long the default detector takes on one device: called, captured in a CUDA graph, and in plain torch."""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable, Iterable, Sequence

import torch
from torch import Tensor

from ..saliency.fine_grained.detector import FineGrainedSaliency

Row = dict[str, Any]

SHAPES = ((256, 224, 224), (128, 32, 32), (1, 224, 224), (64, 375, 500))
"""(images, height, width) of a batch."""

WARM_UP = 3


def benchmark_on_device(
    device: str = "cuda", shapes: Iterable[tuple[int, int, int]] = SHAPES, calls: int = 20, rounds: int = 5
) -> list[Row]:
    """Time the map and the place of its peak for batches of noise that are already on the device.

    One batch is used again and again, so that it may lie in the device's cache, as one does that was
    just made. A GPU is timed by its own clock, from the first call's begin to the last one's end.

    Args:
        device: such as ``'cuda'``; on a CPU nothing is captured.
        shapes: (images, height, width) of the batches.
        calls: in a round. Plain torch is called once a round, being many times slower.
        rounds: a time is the median over them.

    Returns:
        for each shape and ``what``, ``'map'`` or ``'peak'``, a dict with ``batch``, ``height``,
        ``width``, ``device`` and milliseconds a call: ``called_ms``; ``captured_ms``, replayed from a
        CUDA graph (None on a CPU); ``torch_ms``, by ``FineGrainedSaliency('torch')``; ``floor_ms``, a
        copy that reads and writes as many bytes as the batch and, for the map, its result have.

    Raises:
        ValueError: there is no such device.
    """
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but torch sees no GPU; choose 'cpu', or a machine with a GPU")
    rows = []
    for batch, height, width in shapes:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator).to(device)
        fast, plain = FineGrainedSaliency(), FineGrainedSaliency("torch")
        for what, bytes_moved in (("map", images.numel() + 4 * images[:, 0].numel()), ("peak", images.numel())):
            row: Row = {"what": what, "batch": batch, "height": height, "width": width, "device": device}
            call, torch_call = (detector if what == "map" else detector.peak for detector in (fast, plain))
            row["called_ms"] = _median(lambda: call(images), images, calls, rounds)  # noqa: B023
            row["captured_ms"] = _median(_captured(call, images), images, calls, rounds) if images.is_cuda else None
            row["torch_ms"] = _median(lambda: torch_call(images), images, 1, rounds)  # noqa: B023
            row["floor_ms"] = _median(_copy(bytes_moved, images.device), images, calls, rounds)
            rows.append(row)
    return rows


def _copy(bytes_moved: int, device: torch.device) -> Callable[[], object]:
    """A copy that reads and writes ``bytes_moved`` bytes together."""
    source = torch.zeros(bytes_moved // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _captured(call: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[], object]:
    """Replays of a call that was captured in a CUDA graph."""
    call(images)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call(images)

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def _median(call: Callable[[], object], images: Tensor, calls: int, rounds: int) -> float:
    """Milliseconds a call, the median over rounds of several."""
    for _ in range(WARM_UP):
        call()
    timed = _gpu_ms if images.is_cuda else _cpu_ms
    return statistics.median(timed(call, calls) / calls for _ in range(rounds))


def _gpu_ms(call: Callable[[], object], calls: int) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _cpu_ms(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) * 1000


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| what | batch | device | captured, ms | called, ms | plain torch, ms | copy of as many bytes, ms |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        times = [row[key] for key in ("captured_ms", "called_ms", "torch_ms", "floor_ms")]
        cells = [row["what"], f"{row['batch']}x3x{row['height']}x{row['width']}", row["device"]]
        cells += ["-" if each is None else f"{each:.3f}" for each in times]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
