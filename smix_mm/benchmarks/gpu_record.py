"""The file that ``make gpu`` leaves for each card, and the tables and documents that are written from it."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Mapping, Sequence

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


def format_run(record: Record) -> str:
    """The status of each part, and the tables of the benchmarks."""
    rows = []
    for name, result in record["parts"].items():
        text = f"{result['status']} in {result['seconds']:.0f} s"
        if "tests" in result:
            counts = result["tests"]
            text += f": {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} left out"
        rows.append((name, text))
    return "\n\n".join([markdown_table((record["machine"]["card"], "result"), rows), *format_benchmarks(record)])


def format_benchmarks(record: Record) -> list[str]:
    """The table of each benchmark, as its own command prints it."""
    from . import cifar, saliency, training

    formats = {
        "saliency": saliency.format_device_table,
        "imagenet-step": training.format_table,
        "fast-path": cifar.format_table,
        "cifar-step": training.format_table,
    }
    rows = {name: record["parts"].get(name, {}).get("rows") for name in formats}
    return [formats[name](each) for name, each in rows.items() if each]


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
    """The tables of every card with their origin, for ``docs/performance.md``."""
    if not records:
        return f"No run of `make gpu` is saved here yet: {NOT_MEASURED}."
    return "\n\n".join(text for record in records for text in (_origin(record), *format_benchmarks(record)))


_IN_README = (
    (
        "the maps of 256 images of 224x224 take {:.3f} ms in a CUDA graph", "saliency", "captured_ms",
        dict(what="map", batch=256, height=224, width=224),
    ),
    (
        "a step of ResNet-50 with SaliencyMix {:.3f} times that with CutMix", "imagenet-step", "to_cutmix",
        dict(config=IMAGENET_STEP, arm="SaliencyMix"),
    ),
    (
        "the fast CIFAR path trains {:,.0f} images/s with SaliencyMix", "fast-path", "median",
        dict(config="configs/cifar10/fast/resnet18_saliencymix_cifar10.py"),
    ),
)  # fmt: skip


def readme_block(records: Sequence[Record]) -> str:
    """The README's sentence on the speed of each card."""
    if not records:
        return f"On a GPU: {NOT_MEASURED}."
    sentences = []
    for record in records:
        values = [(text, find_row(record, part, **row).get(key)) for text, part, key, row in _IN_README]
        figures = ", ".join(text.format(value) for text, value in values if value is not None) or NOT_MEASURED
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
