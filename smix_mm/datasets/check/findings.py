"""What can be wrong with a dataset, and the report of a check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Sequence

from ...utils.text import first_few

# They stop a training, spoil it or spoil its evaluation.
ERRORS = {
    "missing-split": "split file or folder of images that does not exist or cannot be read",
    "empty-split": "split without a single image",
    "wrong-encoding": "split file or annotation that is not text in UTF-8",
    "bad-line": "line of a split file that does not name a sample",
    "class-folders": "class folders that do not fit those of the training or the model, or are empty (in memory)",
    "unread-image": "image files in a class folder that the dataset does not read, because of their extension",
    "missing-image": "image that does not exist",
    "unreadable-image": "file that is not an image",
    "truncated-image": "JPEG or PNG whose end is missing",
    "damaged-image": "image whose decoder reported lost data (only with --decode)",
    "missing-annotation": "annotation that does not exist",
    "malformed-xml": "annotation that is not XML in VOC's format",
    "malformed-json": "annotation file that is not JSON in COCO's format",
    "byte-order-mark": "COCO file that begins with a byte order mark, with which MMDetection cannot read it",
    "category-order": "COCO file whose categories are not the config's classes in order; labels get wrong names",
    "duplicate-id": "id that two images, or two annotations, of a COCO file have",
    "unlisted-image": "annotation of an image that its COCO file does not list",
    "hostile-xml": "annotation that declares entities or refers to external files; it was not read",
    "missing-field": "required element that an annotation or an object lacks",
    "not-a-number": "coordinate, size or flag that is not a number",
    "size-differs": "size in the annotation that is not that of the image as the training reads it",
    "box-without-area": "box of zero or negative width or height (COCO: below a pixel) or area",
    "box-outside": "box that leaves its image (VOC counts from 1: 1 <= xmin, xmax <= width; COCO: by half a pixel)",
    "unknown-class": "object of a class that the config does not name; training silently leaves it out",
    "in-train-and-test": "training image that is also in the validation or test split, by content",
    "settings": "settings of the config that contradict each other or the data",
}
# They may be intended.
REMARKS = {
    "no-boxes": "annotation without a usable box",
    "no-size": "annotation without <size>; the training then reads it from the image",
    "filtered-out": "images that the dataset's filter_cfg leaves out of the training",
    "empty-class": "class folder without an image that is read",
    "repeated-name": "sample that a split names more than once",
    "duplicate-image": "image with the same content as another image of the split",
}
KINDS = {**ERRORS, **REMARKS}


class Finding(NamedTuple):
    """One thing that is wrong with one file.

    Attributes:
        kind: a key of :data:`KINDS`.
        file: an image, an annotation, a split file or a folder.
        detail: what was found.
        splits: the splits that read the file: ``"train"``, ``"val"``, ``"test"``.
        fixed: how a cleaned annotation fixes it (``"object dropped"``); empty if the whole sample is left out.
    """

    kind: str
    file: str
    detail: str
    splits: tuple[str, ...] = ()
    fixed: str = ""


@dataclass
class Report:
    """What was checked and what was found.

    Attributes:
        images: number of samples by split.
        boxes: number of usable boxes by split; empty for classification.
        findings: everything found, in the order of the splits.
        ignored: kinds of error that the user ignores; they count as remarks.
    """

    images: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    ignored: frozenset[str] = frozenset()

    def is_error(self, kind: str) -> bool:
        """Whether a kind counts as an error."""
        return kind in ERRORS and kind not in self.ignored

    @property
    def failed(self) -> bool:
        """Whether an error was found."""
        return any(self.is_error(finding.kind) for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The whole report, for JSON."""
        return dict(
            failed=self.failed,
            images=self.images,
            boxes=self.boxes,
            ignored=sorted(self.ignored),
            findings=[
                dict(kind=one.kind, file=one.file, detail=one.detail, splits=one.splits, error=self.is_error(one.kind))
                for one in self.findings
            ],
        )

    def text(self, shown: int = 5) -> str:
        """A table of the kinds found and a list of files, where anything was found, and a summary as the last line.

        Args:
            shown: number of files listed per kind.
        """
        table = [f"{'kind':<19} {'':<7} {'found':>7} {'files':>7}  what it is"]
        listed: list[str] = []
        for kind, meaning in KINDS.items():
            found = [one for one in self.findings if one.kind == kind]
            if not found:
                continue
            level, files = "error" if self.is_error(kind) else "remark", len({one.file for one in found})
            table.append(f"{kind:<19} {level:<7} {len(found):>7} {files:>7}  {meaning}")
            lines = (f"{kind}: {one.file} ({', '.join(one.splits)}): {one.detail}" for one in found[:shown])
            listed += map(printable, lines)
            listed += [f"{kind}: and {len(found) - shown} more"] if found[shown:] else []
        errors = sum(self.is_error(one.kind) for one in self.findings)
        checked = ", ".join(
            f"{name} {count} images" + (f" with {self.boxes[name]} boxes" if name in self.boxes else "")
            for name, count in self.images.items()
        )
        summary = f"{_count(errors, 'error')}, {_count(len(self.findings) - errors, 'remark')}"
        last = f"{summary}; checked: {checked or 'nothing'}"
        return "\n".join([*table, "", *listed, "", last] if listed else [last])


def summarize(findings: Sequence[Finding], shown: int = 3) -> str:
    """One line about findings: ``"2 × box-without-area (a.xml, b.xml)"``."""
    counts = Counter(one.kind for one in findings)
    files = {kind: list(dict.fromkeys(one.file for one in findings if one.kind == kind)) for kind in counts}
    return printable("; ".join(f"{count} × {kind} ({first_few(files[kind], shown)})" for kind, count in counts.items()))


def printable(text: str) -> str:
    """Escape characters of file names that a terminal would interpret or cannot show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def why_unreadable(error: Exception) -> str:
    """Why a file or folder could not be opened, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
