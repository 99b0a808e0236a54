"""The file that ``make gpu`` leaves for each card, and the tables and documents that are written from it."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ..utils.errors import DataError
from ..utils.files import write_json, write_text
from ..utils.text import markdown_table
from .gpu_run import CIFAR_STEPS, IMAGENET_STEP, PASSED, Result, all_passed
from .machine import output_of

Record = dict[str, Any]

FOLDER = "gpu"
NOT_MEASURED = "not measured"

# The arms of the benchmark of training steps, and their names in file names of configs.
_ARMS = {
    "no mixing": "baseline",
    "CutMix": "cutmix",
    "SaliencyMix": "saliencymix",
    "OfficialSaliencyMix": "official-saliencymix",
}


def make_record(machine: Mapping[str, Any], results: Mapping[str, Result], root: str | Path) -> Record:
    """A run as JSON: machine, date, commit, and the results of :func:`~.gpu_run.run_parts`."""
    commit = output_of("git", "rev-parse", "HEAD", cwd=root)
    changes = output_of("git", "status", "--porcelain", cwd=root)
    return {
        "machine": dict(machine),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit.strip() if commit else None,
        # None: root is not in a git repository.
        "uncommitted_changes": None if commit is None or changes is None else bool(changes.strip()),
        "all_passed": all_passed(dict(results)),
        "parts": dict(results),
    }


def write_record(folder: str | Path, record: Record) -> Path:
    """Write ``<folder>/<card>.json`` atomically, in place of an earlier run's on the same card."""
    path = Path(folder) / f"{slug(record['machine']['card'])}.json"
    write_json(path, record)
    return path


def slug(card: str) -> str:
    """A card's name for a file: ``'NVIDIA H100 80GB HBM3'`` is ``'nvidia-h100-80gb-hbm3'``."""
    return re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")


def read_records(results: str | Path) -> list[Record]:
    """The record of every card in ``<results>/gpu``, sorted by file name; a DataError names a file that is none."""
    records = []
    for path in sorted((Path(results) / FOLDER).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} should be a JSON file: {error}") from error
        if not isinstance(record, dict) or not {"machine", "date", "parts"} <= set(record):
            raise DataError(f"{path} should be a record of `make gpu`, with machine, date and parts.")
        records.append(record)
    return records


def find_row(record: Record, part: str, **values: Any) -> dict[str, Any]:
    """The row of a benchmark with these values, or an empty one."""
    rows = record["parts"].get(part, {}).get("rows", [])
    return next((row for row in rows if all(row.get(name) == value for name, value in values.items())), {})


def step_times(record: Record) -> dict[str, dict[str, Any]]:
    """``seconds`` of a training step and the ``device``, by the config's path in the project.

    A step has the config's own batch size, with the images already in the GPU's memory.
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


class Figure(NamedTuple):
    """One measured number: its label with the unit; the benchmark, the key and the values by which its row is found."""

    label: str
    part: str
    key: str
    row: Mapping[str, Any]
    form: str = "{:.3f}"
    readme: str | None = None


def _figures() -> Iterator[Figure]:
    calls = {
        "captured": "captured in a CUDA graph", "called": "called", "torch": "called, plain torch",
        "floor": "a copy that moves as many bytes",
    }  # fmt: skip
    maps = "the maps of 256 images of 224x224 take {} ms in a CUDA graph"
    for what, batch, side, keys in (("map", 256, 224, calls), ("peak", 256, 224, ("captured", "called")),
                                    ("peak", 128, 32, ("captured", "called"))):  # fmt: skip
        row = {"what": what, "batch": batch, "height": side, "width": side}
        for key in keys:
            label = f"{what}, {batch}x3x{side}x{side}, {calls[key]}, ms"
            readme = maps if (what, key) == ("map", "captured") else None
            yield Figure(label, "saliency", f"{key}_ms", row, readme=readme)
    step = "ResNet-50, 224, batch 256, mixed precision, a step with {}, ms"
    for arm in ("no mixing", "CutMix", "SaliencyMix"):
        row = {"config": IMAGENET_STEP, "arm": arm}
        yield Figure(step.format(arm), "imagenet-step", "median_ms", row, "{:.2f}")
    ratio = "a step of ResNet-50 with SaliencyMix {} times that with CutMix"
    label = "the step with SaliencyMix by that with CutMix"
    yield Figure(label, "imagenet-step", "to_cutmix", row, readme=ratio)
    for name, arm, readme in (
        ("no mixing", "baseline", None),
        ("CutMix", "cutmix", None),
        ("SaliencyMix", "saliencymix", "the fast CIFAR path trains {} images/s with SaliencyMix"),
        ("SaliencyMix, steps captured", "saliencymix-captured", None),
    ):
        label = f"fast CIFAR path, ResNet-18, batch 128, {name}, images/s"
        row = {"config": f"configs/cifar10/fast/resnet18_{arm}_cifar10.py"}
        yield Figure(label, "fast-path", "median", row, "{:,.0f}", readme)


FIGURES = tuple(_figures())


def measured(record: Record, figure: Figure) -> str:
    """A figure of a record as text."""
    value = find_row(record, figure.part, **figure.row).get(figure.key)
    return NOT_MEASURED if value is None else figure.form.format(value)


def format_run(record: Record) -> str:
    """One table: the status of each part, then the figures of the parts that were run."""
    rows = []
    for name, result in record["parts"].items():
        text = f"{result['status']} in {result['seconds']:.0f} s"
        if "tests" in result:
            counts = result["tests"]
            text += f": {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} left out"
        rows.append((name, text))
    figures = [figure for figure in FIGURES if figure.part in record["parts"]]
    rows += [(figure.label, measured(record, figure)) for figure in figures]
    return markdown_table((record["machine"]["card"], "result"), rows)


def format_notes(record: Record) -> str:
    """What failed and what was left out, a line each with its reason."""
    lines = []
    for name, result in record["parts"].items():
        if result["status"] != PASSED:
            lines.append(f"{result['status']}: {name}: {result['why']}")
        lines += [f"failed: {each['test']}: {each['why']}" for each in result.get("failures", [])]
        lines += [f"left out: {each['test']}: {each['why']}" for each in result.get("skips", [])]
    return "\n".join(lines)


def performance_block(records: Sequence[Record]) -> str:
    """The figures of every card, side by side, with their origin: for ``docs/performance.md``."""
    cards = [record["machine"]["card"] for record in records] or ["a GPU"]
    origins = [_origin(record) for record in records] or [f"No run of `make gpu` is saved here yet: {NOT_MEASURED}."]
    rows = [(figure.label, *([measured(record, figure) for record in records] or [NOT_MEASURED])) for figure in FIGURES]
    return "\n\n".join([*origins, markdown_table(("what", *cards), rows, "lr")])


def readme_block(records: Sequence[Record]) -> str:
    """The README's sentence on the speed of each card."""
    if not records:
        return f"On a GPU: {NOT_MEASURED}."
    sentences = []
    for record in records:
        values = [(figure.readme, measured(record, figure)) for figure in FIGURES if figure.readme]
        figures = ", ".join(text.format(value) for text, value in values if value != NOT_MEASURED) or NOT_MEASURED
        sentences.append(f"On one {record['machine']['card']}: {figures}; {_tests(record)}.")
    return "\n".join(sentences)


def _origin(record: Record) -> str:
    machine = record["machine"]
    releases = [
        f"{name} {machine[name]}" for name in ("driver", "cuda", "torch", "triton", "python") if machine.get(name)
    ]
    at = "no commit known" if record.get("commit") is None else f"commit {record['commit'][:7]}"
    at += " with changes" if record.get("uncommitted_changes") else ""
    return f"{machine['card']}: {', '.join(releases)}; {record['date'][:10]}, {at}; {_tests(record)}."


def _tests(record: Record) -> str:
    parts = record["parts"].items()
    passed, failed, skipped = (
        sum(result["tests"][count] for _, result in parts if "tests" in result)
        for count in ("passed", "failed", "skipped")
    )
    summary = f"{passed} tests passed, {failed} failed, {skipped} were left out"
    unfinished = [name for name, result in parts if result["status"] == "timed out"]
    return summary + (f"; not finished: {', '.join(unfinished)}" if unfinished else "")


BLOCKS = {"docs/performance.md": performance_block, "README.md": readme_block}
"""The text between the marks, by document."""

_MARKED = re.compile(r"(<!-- gpu: [^\n]*-->\n)(.*?)(<!-- gpu end -->)", re.DOTALL)


def with_block(text: str, block: str) -> str:
    """A document with another text between its marks; a DataError if it does not have each mark exactly once."""
    changed, count = _MARKED.subn(lambda found: f"{found[1]}\n{block}\n\n{found[3]}", text)
    if count != 1:
        raise DataError("the document should have `<!-- gpu: ... -->` and `<!-- gpu end -->` once, around the figures.")
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
