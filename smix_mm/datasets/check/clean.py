"""A cleaned copy of what a config reads: annotations and split files written anew, images linked."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from ...utils.errors import DataError
from ...utils.files import write_json, write_text
from .check import Checked
from .findings import Problem
from .splits import Sample, Split
from .voc import as_bytes, clean_annotation, read_annotation

LEFT_OUT = "left_out.json"
_NOT_FIXABLE = ("missing-split", "empty-split", "class-folders")


def write_clean_copy(checked: Checked, out: str | Path) -> dict[str, int]:
    """Write a data root without what a check found wrong, to be used in place of the config's own.

    The layout is that of the source. Annotations and split files are written, with bad boxes dropped, boxes
    that leave the image clipped, sizes set right, and bad samples left out; images are symbolic links to
    the source, of which nothing is changed. A training image that is in another split too is left out of
    the training. Kinds that were ignored stay as they are. ``left_out.json`` lists every change.

    Args:
        checked: a finished check.
        out: the folder to make; it is complete or not there. With several data roots, each becomes a folder
            in it, by its own name.

    Returns:
        How often each kind of change was made.

    Raises:
        DataError: there is something else at ``out``, it lies inside the source, or what is wrong
            cannot be fixed by leaving things out.
    """
    out = Path(out).absolute()
    roots = _roots(checked, out)
    for finding in checked.report.findings:
        if finding.kind in _NOT_FIXABLE and checked.report.is_error(finding.kind):
            raise DataError(f"{finding.file} {finding.detail}, which a cleaned copy cannot fix; fix it by hand")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as unfinished:
        work = Path(unfinished, "data")
        work.mkdir()
        copy = _Copy(checked, work, roots)
        for split, listing in zip(checked.splits, checked.listings):
            copy.write_split(split, listing.samples)
            for name in listing.folders:  # an empty class keeps its number
                (copy.place(split, split.images) / name).mkdir(parents=True, exist_ok=True)
        for finding in checked.report.findings:
            if finding.kind == "bad-line":
                note = dict(file=finding.file, change="line left out", kind=finding.kind)
                copy.changes.append(dict(note, why=finding.detail, split=finding.file))
        write_json(work / LEFT_OUT, copy.changes)
        if out.exists():
            out.rmdir()
        work.rename(out)
    return dict(Counter(change["change"] for change in copy.changes))


class _Copy:
    """The copy while it is made."""

    def __init__(self, checked: Checked, work: Path, roots: dict[str, str]) -> None:
        self.checked, self.work, self.roots = checked, work, roots
        self.changes: list[dict[str, Any]] = []
        self.written: set[Path] = set()

    def place(self, split: Split, path: str) -> Path:
        """Where a path of the source goes."""
        inside = os.path.relpath(path, split.data_root)
        if inside.startswith(".."):
            raise DataError(f"{path} is not inside the data root {split.data_root}; wanted it there for --fix")
        return self.work / self.roots[split.data_root] / inside

    def write_split(self, split: Split, samples: list[Sample]) -> None:
        kept = [sample for sample in samples if self._keeps(split, sample)]
        if not kept:
            raise DataError(f"{split.file} would have no sample left; nothing was written")
        if split.ann_file:
            write_text(self.place(split, split.ann_file), "".join(f"{sample.line}\n" for sample in kept))
        for sample in kept:
            image = self.place(split, sample.image)
            if image not in self.written:
                self.written.add(image)
                image.parent.mkdir(parents=True, exist_ok=True)
                image.symlink_to(os.path.realpath(sample.image))

    def _keeps(self, split: Split, sample: Sample) -> bool:
        """Whether a sample stays; its annotation is then written."""
        seen = self.checked.seen[self.checked.task(split, sample)]
        fatal = [p for p in seen.problems if self.checked.report.is_error(p.kind) and not p.fixed]
        if sample.image in self.checked.leaked and "in-train-and-test" not in self.checked.ignored:
            if split.parts == ("train",):
                fatal.append(Problem("in-train-and-test", "is in another split too"))
            elif "train" in split.parts:
                raise DataError(f"{split.file} is trained on and evaluated on; wanted different splits")
        if fatal:
            self._note(split, sample, fatal, "sample left out")
        elif sample.annotation is not None:
            return self._write_annotation(split, sample)
        return not fatal

    def _write_annotation(self, split: Split, sample: Sample) -> bool:
        assert sample.annotation is not None
        target = self.place(split, sample.annotation)
        if target in self.written:
            return True
        task = self.checked.task(split, sample)
        look = self.checked.seen[task].look
        content = read_annotation(sample.annotation)
        if isinstance(content, Problem):
            raise DataError(f"{sample.annotation} {content.detail}; it was there during the check")
        annotation = clean_annotation(content, task.classes, size=look.size, turned=look.turned, keep=task.keep)
        if annotation.changed:
            try:
                content = as_bytes(annotation)
            except (RecursionError, ValueError):
                self._note(split, sample, [Problem("malformed-xml", "is nested too deeply", True)], "sample left out")
                return False
            self._note(split, sample, [problem for problem in annotation.problems if problem.fixed])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.written.add(target)
        return True

    def _note(self, split: Split, sample: Sample, problems: list[Problem], change: str = "") -> None:
        for problem in problems:
            file = sample.annotation if problem.in_annotation else sample.image
            note = dict(file=file, change=change or problem.fixed, kind=problem.kind)
            self.changes.append(dict(note, why=problem.detail, split=split.file))


def _roots(checked: Checked, out: Path) -> dict[str, str]:
    """The folder in the copy for each data root."""
    sources = list(dict.fromkeys(split.data_root for split in checked.splits))
    if not all(sources):
        raise DataError("a dataset of the config has no data_root, whose place a cleaned copy could take; wanted one")
    for source in sources:
        real = os.path.realpath(source)
        if os.path.commonpath([real, os.path.realpath(out)]) == real:
            raise DataError(f"{out} lies inside the data root {source}; wanted a folder outside of it")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(f"{out} is there already; wanted the name of a folder to make")
    if len(sources) == 1:
        return {sources[0]: "."}
    names = {source: Path(source).name for source in sources}
    if len(set(names.values())) < len(sources):
        raise DataError(f"the data roots {', '.join(sources)} have one name; wanted different ones for --fix")
    return names
