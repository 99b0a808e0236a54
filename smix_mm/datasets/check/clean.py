"""A cleaned copy of the data that a config reads: annotations and split files rewritten, images linked."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from ...utils.errors import DataError
from ...utils.files import write_json, write_text
from ..folders import temporary_folder
from .checker import Checked
from .findings import Problem
from .listing import Listing
from .splits import Sample, Split
from .voc import as_bytes, clean_annotation, read_annotation

LEFT_OUT = "left_out.json"
_NOT_FIXABLE = ("missing-split", "wrong-encoding", "empty-split", "class-folders")
_LEFT_OUT = {"bad-line": "line left out", "unread-image": "files left out"}


def write_clean_copy(checked: Checked, out: str | Path) -> dict[str, int]:
    """Write a data root without the errors that a check found, to be used instead of the config's.

    The layout is that of the source. Annotations and split files are written, with bad boxes dropped, boxes
    that leave the image clipped, sizes corrected, and bad samples left out; images are symbolic links to
    the source, which is not changed. A training image that is also in another split is left out of
    the training. Ignored kinds are not fixed. ``left_out.json`` lists every change.

    Args:
        checked: a finished check.
        out: the folder to create; it appears when it is complete. Several data roots become folders in it, by
            their names.

    Returns:
        The number of changes of each kind.

    Raises:
        DataError: ``out`` exists or is inside the source, or an error cannot be fixed by leaving samples out.
    """
    out = Path(out).absolute()
    roots = _roots(checked, out)
    for finding in checked.report.findings:
        if finding.kind in _NOT_FIXABLE and checked.report.is_error(finding.kind):
            raise DataError(f"{finding.file} {finding.detail}, which a cleaned copy cannot fix; fix it by hand")
    with temporary_folder(out) as work:
        copy = _Copy(checked, work, roots)
        for listing in checked.listings:
            copy.write_split(listing)
        for finding in checked.report.findings:
            if finding.kind in _LEFT_OUT:
                note = dict(file=finding.file, change=_LEFT_OUT[finding.kind], kind=finding.kind)
                copy.changes.append(dict(note, why=finding.detail, split=finding.file))
        write_json(work / LEFT_OUT, copy.changes)
        if out.exists():
            out.rmdir()
        work.rename(out)
    return dict(Counter(change["change"] for change in copy.changes))


class _Copy:
    """The unfinished copy and its list of changes."""

    def __init__(self, checked: Checked, work: Path, roots: dict[str, str]) -> None:
        self.checked, self.work, self.roots = checked, work, roots
        self.changes: list[dict[str, Any]] = []
        self.written: set[Path] = set()

    def path(self, split: Split, path: str) -> Path:
        """The path in the copy of a path in the source."""
        inside = os.path.relpath(path, split.data_root)
        if inside.startswith(".."):
            raise DataError(f"{path} should be inside the data root {split.data_root} to be copied with --fix")
        return self.work / self.roots[split.data_root] / inside

    def write_split(self, listing: Listing) -> None:
        split = listing.split
        samples = [sample for sample in listing.samples if self._write_sample(split, sample)]
        if not samples:
            raise DataError(f"{split.file} would have no sample left; nothing was written")
        if split.ann_file:
            write_text(self.path(split, split.ann_file), "".join(f"{sample.line}\n" for sample in samples))
        for sample in samples:
            image = self.path(split, sample.image)
            if image not in self.written:
                self.written.add(image)
                image.parent.mkdir(parents=True, exist_ok=True)
                image.symlink_to(os.path.realpath(sample.image))
        for name in listing.folders:  # an empty class folder keeps its number
            (self.path(split, split.images) / name).mkdir(parents=True, exist_ok=True)

    def _write_sample(self, split: Split, sample: Sample) -> bool:
        """Write the sample's annotation, or return False if the sample is left out."""
        report = self.checked.report
        fatal = self.checked.fatal(split, sample)
        if sample.image in self.checked.leaked and report.is_error("in-train-and-test"):
            if split.parts == ("train",):
                fatal.append(Problem("in-train-and-test", "is also in another split"))
            elif "train" in split.parts:
                raise DataError(f"{split.file} should not be used for both training and evaluation")
        if fatal:
            self._note(split, sample, fatal, "sample left out")
            return False
        return sample.annotation is None or self._write_annotation(split, sample, sample.annotation)

    def _write_annotation(self, split: Split, sample: Sample, source: str) -> bool:
        target = self.path(split, source)
        if target in self.written:
            return True
        image = self.checked.of(split, sample).image
        content = read_annotation(source)
        if isinstance(content, Problem):
            raise DataError(f"{source} {content.detail}; it could be read during the check")
        ignored = self.checked.report.ignored
        annotation = clean_annotation(
            content, split.classes or (), size=image.size, rotated=image.rotated, ignore=ignored
        )
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
    sources = list(dict.fromkeys(listing.split.data_root for listing in checked.listings))
    if not all(sources):
        raise DataError("every dataset of the config should have a data_root, which the cleaned copy replaces")
    for source in sources:
        # Compared as files, because of links and of file systems that ignore case.
        above = [place for place in (out, *out.parents) if place.exists()]
        if os.path.exists(source) and any(place.samefile(source) for place in above):
            raise DataError(f"{out} is inside the data root {source}; name a folder outside of it")
    if os.path.lexists(out) and (out.is_symlink() or not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} already exists; name a new folder")
    if len(sources) == 1:
        return {sources[0]: "."}
    names = {source: Path(source).name for source in sources}
    if len(set(names.values())) < len(sources):
        raise DataError(f"the data roots {', '.join(sources)} should have different names for --fix")
    return names
