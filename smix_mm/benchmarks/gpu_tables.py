"""The table that ``make gpu`` prints, and the places of the documents that are written from its files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Sequence

from ..utils.files import write_text
from .gpu_parts import IMAGENET_STEP
from .gpu_record import Record, find_row, read_records
from .gpu_run import PASSED

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        label: what it is, with its unit.
        part: the benchmark that measures it.
        key: its name in the row.
        row: values that tell the row from the others.
        form: how it is written.
    """

    label: str
    part: str
    key: str
    row: Mapping[str, Any] = field(default_factory=dict)
    form: str = "{:.3f}"


def _saliency(label: str, what: str, batch: int, side: int, key: str) -> Figure:
    row = {"what": what, "batch": batch, "height": side, "width": side}
    return Figure(f"{what}, {batch}x3x{side}x{side}, {label}, ms", "saliency", key, row)


def _step(arm: str) -> Figure:
    row = {"config": IMAGENET_STEP, "arm": arm}
    label = f"ResNet-50, 224, batch 256, mixed precision, a step with {arm}, ms"
    return Figure(label, "imagenet-step", "median_ms", row, "{:.2f}")


def _fast_path(name: str, arm: str) -> Figure:
    row = {"config": f"configs/cifar10/fast/resnet18_{arm}.py"}
    return Figure(f"fast CIFAR path, ResNet-18, batch 128, {name}, images/s", "fast-path", "median", row, "{:,.0f}")


MAPS = _saliency("captured in a CUDA graph", "map", 256, 224, "captured_ms")
STEP_RATIO = Figure(
    "the step with SaliencyMix by that with CutMix",
    "imagenet-step",
    "to_cutmix",
    {"config": IMAGENET_STEP, "arm": "SaliencyMix"},
)
FAST_PATH = _fast_path("SaliencyMix", "saliencymix")
CAPTURED = _fast_path("SaliencyMix, steps captured", "saliencymix_captured")

FIGURES = (
    MAPS,
    _saliency("called", "map", 256, 224, "called_ms"),
    _saliency("called, plain torch", "map", 256, 224, "torch_ms"),
    _saliency("a copy that moves as many bytes", "map", 256, 224, "floor_ms"),
    _saliency("captured in a CUDA graph", "peak", 256, 224, "captured_ms"),
    _saliency("called", "peak", 256, 224, "called_ms"),
    _saliency("captured in a CUDA graph", "peak", 128, 32, "captured_ms"),
    _saliency("called", "peak", 128, 32, "called_ms"),
    _step("no mixing"),
    _step("CutMix"),
    _step("SaliencyMix"),
    STEP_RATIO,
    _fast_path("no mixing", "baseline"),
    _fast_path("CutMix", "cutmix"),
    FAST_PATH,
    CAPTURED,
)


_IN_README = (
    ("the maps of 256 images of 224x224 take {} ms in a CUDA graph", MAPS),
    ("a step of ResNet-50 with SaliencyMix {} times that with CutMix", STEP_RATIO),
    ("the fast CIFAR path trains {} images/s with SaliencyMix", FAST_PATH),
)


def measured(record: Record, figure: Figure) -> str:
    """A figure of a record as text."""
    value = find_row(record, figure.part, **figure.row).get(figure.key)
    return NOT_MEASURED if value is None else figure.form.format(value)


def format_run(record: Record) -> str:
    """One table: each part and what came of it, then the figures of those that were run."""
    lines = [f"| {record['machine']['card']} | |", "| --- | --- |"]
    for name, result in record["parts"].items():
        text = f"{result['status']} in {result['seconds']:.0f} s"
        if "tests" in result:
            counts = result["tests"]
            text += f": {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} left out"
        lines.append(f"| {name} | {text} |")
    figures = [figure for figure in FIGURES if figure.part in record["parts"]]
    lines += [f"| {figure.label} | {measured(record, figure)} |" for figure in figures]
    return "\n".join(lines)


def format_notes(record: Record) -> str:
    """What failed, and what was left out, a line each with its reason."""
    lines = []
    for name, result in record["parts"].items():
        if result["status"] != PASSED:
            lines.append(f"{result['status']}: {name}: {result['why']}")
        lines += [f"failed: {each['test']}: {each['why']}" for each in result.get("failures", [])]
        lines += [f"left out: {each['test']}: {each['why']}" for each in result.get("skips", [])]
    return "\n".join(lines)


def performance_block(records: Sequence[Record]) -> str:
    """The figures of every card, side by side, with where they come from: for ``docs/performance.md``."""
    if not records:
        cards, origins = ["a GPU"], [f"No run of `make gpu` is kept here yet: {NOT_MEASURED}."]
    else:
        cards = [record["machine"]["card"] for record in records]
        origins = [_origin(record) for record in records]
    lines = [f"| what | {' | '.join(cards)} |", "| --- |" + " ---: |" * len(cards)]
    for figure in FIGURES:
        cells = [measured(record, figure) for record in records] or [NOT_MEASURED]
        lines.append(f"| {figure.label} | {' | '.join(cells)} |")
    return "\n\n".join([*origins, "\n".join(lines)])


def readme_block(records: Sequence[Record]) -> str:
    """What the README says of speed on a GPU, in a sentence for each card."""
    if not records:
        return f"On a GPU: {NOT_MEASURED}."
    sentences = []
    for record in records:
        found = [(text, measured(record, figure)) for text, figure in _IN_README]
        said = ", ".join(text.format(value) for text, value in found if value != NOT_MEASURED) or NOT_MEASURED
        sentences.append(f"On one {record['machine']['card']}: {said}; {_tests(record)}.")
    return "\n".join(sentences)


def _origin(record: Record) -> str:
    machine = record["machine"]
    releases = [
        f"{name} {machine[name]}" for name in ("driver", "cuda", "torch", "triton", "python") if machine.get(name)
    ]
    at = "no commit known" if record.get("commit") is None else f"commit {record['commit'][:7]}"
    if record.get("uncommitted_changes"):
        at += " with changes"
    return f"{machine['card']}: {', '.join(releases)}; {record['date'][:10]}, {at}; {_tests(record)}."


def _tests(record: Record) -> str:
    totals = {
        count: sum(result["tests"][count] for result in record["parts"].values() if "tests" in result)
        for count in ("passed", "failed", "skipped")
    }
    said = f"{totals['passed']} tests passed, {totals['failed']} failed, {totals['skipped']} were left out"
    unfinished = [name for name, result in record["parts"].items() if result["status"] == "timed out"]
    return said + (f"; not finished: {', '.join(unfinished)}" if unfinished else "")


BLOCKS = {"docs/performance.md": performance_block, "README.md": readme_block}
"""Documents, and what stands in each between the marks."""

_MARKED = re.compile(r"(<!-- gpu: [^\n]*-->\n)(.*?)(<!-- gpu end -->)", re.DOTALL)


def with_block(text: str, block: str) -> str:
    """A document with another text between its marks.

    Raises:
        ValueError: it does not have the two marks once.
    """
    changed, count = _MARKED.subn(lambda found: f"{found[1]}\n{block}\n\n{found[3]}", text)
    if count != 1:
        raise ValueError("the document should have `<!-- gpu: ... -->` and `<!-- gpu end -->` once, around the figures")
    return changed


def write_documents(root: str | Path, results: str | Path) -> list[Path]:
    """Write the figures of ``<results>/gpu`` into the documents; returns those that changed."""
    records = read_records(results)
    changed = []
    for name, block in BLOCKS.items():
        path = Path(root) / name
        text = path.read_text(encoding="utf-8")
        new = with_block(text, block(records))
        if new != text:
            write_text(path, new)
            changed.append(path)
    return changed
