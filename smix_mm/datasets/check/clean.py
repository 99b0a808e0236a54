"""A cleaned copy of the data that a config reads: annotations and split files rewritten, images linked."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from ...utils.errors import DataError
from ...utils.files import write_json, write_text
from ..folders import new_folder
from .checker import Checked
from .coco import CocoFile, corrected_image, in_order, read_objects, with_used_ids
from .findings import Finding, Report
from .listing import Listing
from .splits import Sample, Split
from .voc import Annotation, as_bytes

LEFT_OUT = "left_out.json"
_NOT_FIXABLE = ("missing-split", "wrong-encoding", "empty-split", "class-folders", "malformed-json")
# What happens to a split as a whole, or to a line or an entry of it.
_LEFT_OUT = {
    "bad-line": "line left out",
    "unread-image": "files left out",
    "byte-order-mark": "byte order mark removed",
    "category-order": "categories put in order",
    "unlisted-image": "annotation left out",
}


def write_clean_copy(checked: Checked, out: str | Path) -> dict[str, int]:
    """Write a data root without the errors that a check found, to be used instead of the config's.

    The layout is that of the source. Annotations, split files and COCO files are written, with bad boxes dropped, boxes
    that leave the image clipped, sizes and ids corrected, and bad samples left out; images are symbolic links to
    the source, which is not changed. A training image that is also in another split is left out of
    the training. Ignored kinds are not fixed. ``left_out.json`` lists every change.

    Args:
        checked: a finished check.
        out: the folder to create; it appears when it is complete.

    Returns:
        The number of changes of each kind.

    Raises:
        DataError: ``out`` exists or is inside the source, an error cannot be fixed by leaving samples out, or there
            are several data roots.
    """
    out = Path(out).absolute()
    roots = list(dict.fromkeys(listing.split.data_root for listing in checked.listings))
    if len(roots) > 1 or not all(roots):
        given = ", ".join(filter(None, roots)) or "none"
        raise DataError(f"all datasets should have the same data_root, which the copy replaces, got {given}")
    for finding in checked.report.findings:
        if finding.kind in _NOT_FIXABLE and checked.report.is_error(finding.kind):
            raise DataError(f"{finding.file} {finding.detail}, which a cleaned copy cannot fix; fix it by hand")
    with new_folder(out, roots) as work:
        copy = _Copy(checked, work)
        for listing in checked.listings:
            copy.write_split(listing)
        for one in (one for listing in checked.listings for one in listing.findings):
            if change := _change(one, checked.report):
                copy.note(one, change, one.file)
        write_json(work / LEFT_OUT, copy.changes)
    return dict(Counter(change["change"] for change in copy.changes))


class _Copy:
    """The unfinished copy and its list of changes."""

    def __init__(self, checked: Checked, work: Path) -> None:
        self.checked, self.work = checked, work
        self.changes: list[dict[str, Any]] = []
        self.written: set[Path] = set()
        self.cleaned: dict[Sample, Annotation] = {}

    def path(self, split: Split, path: str) -> Path:
        """The path in the copy of a path in the source."""
        inside = os.path.relpath(path, split.data_root)
        if inside.startswith(".."):
            raise DataError(f"{path} should be inside the data root {split.data_root} to be copied with --fix")
        return self.work / inside

    def write_split(self, listing: Listing) -> None:
        split = listing.split
        samples = [sample for sample in listing.samples if self._write_sample(split, sample)]
        if not samples:
            raise DataError(f"{split.file} would have no sample left; nothing was written")
        if listing.coco is not None:
            self._write_coco(listing, listing.coco, samples)
        elif split.ann_file:
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
        fatal = self.checked.fatal(split, sample)
        if sample.image in self.checked.leaked and self.checked.report.is_error("in-train-and-test"):
            if split.parts == ("train",):
                fatal.append(Finding("in-train-and-test", sample.image, "is also in another split"))
            elif "train" in split.parts:
                raise DataError(f"{split.file} should not be used for both training and evaluation")
        for problem in fatal:
            self.note(problem, "sample left out", split.file)
        return not fatal and (sample.annotation is None or self._write_annotation(split, sample, sample.annotation))

    def _write_annotation(self, split: Split, sample: Sample, source: str) -> bool:
        target = self.path(split, source)
        if target in self.written:
            return True
        image = self.checked.samples[split, sample].image
        ignored = self.checked.report.ignored
        annotation = read_objects(sample, split.classes, size=image.size, rotated=image.rotated, ignore=ignored)
        if not annotation.parsed:
            raise DataError(f"{source} {annotation.problems[0].detail}; it could be read during the check")
        content = None
        if sample.record is not None:
            self.cleaned[sample] = annotation
        elif annotation.changed:
            try:
                content = as_bytes(annotation)
            except (RecursionError, ValueError):
                nested = Finding("malformed-xml", source, "is nested too deeply")
                self.note(nested, "sample left out", split.file)
                return False
        for problem in annotation.problems:
            if problem.fixed:
                self.note(problem, problem.fixed, split.file)
        if sample.record is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target) if content is None else target.write_bytes(content)
            self.written.add(target)
        return True

    def _write_coco(self, listing: Listing, file: CocoFile, samples: list[Sample]) -> None:
        """Write a COCO file with the images that are left and their annotations; other fields are copied."""
        split = listing.split
        annotations = [entry for sample in samples for entry in self.cleaned[sample].root]
        content = dict(
            file.content,
            images=[corrected_image(sample.record, self.cleaned[sample]) for sample in samples if sample.record],
            annotations=with_used_ids(file.content, annotations),
        )
        in_disorder = any(one.kind == "category-order" for one in listing.findings)
        if in_disorder and self.checked.report.is_error("category-order"):
            content["categories"] = in_order(file.content, split.classes or ())
        write_text(self.path(split, split.ann_file), json.dumps(content) + "\n")

    def note(self, problem: Finding, change: str, split: str) -> None:
        """Add a change to the list."""
        note = dict(file=problem.file, change=change, kind=problem.kind, why=problem.detail, split=split)
        self.changes.append(note)


def _change(finding: Finding, report: Report) -> str:
    """What the copy does about a finding on a split as a whole; empty for none."""
    kind, detail = finding.kind, finding.detail
    if kind in ("duplicate-id", "missing-field"):
        is_image = detail.startswith("images[") or " images have " in detail
        return "images left out" if is_image else "id changed"
    return "" if kind == "category-order" and not report.is_error(kind) else _LEFT_OUT.get(kind, "")
