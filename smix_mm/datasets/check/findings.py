"""What can be wrong with a dataset, and the report of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

# What stops a training, spoils it or spoils its evaluation.
ERRORS = {
    "missing-split": "split file or folder of images that is not there or cannot be read",
    "empty-split": "split without a single image",
    "bad-line": "line of a split file that names no sample",
    "class-folders": "class folders that do not fit those of the training, or the model",
    "missing-image": "image that is not there",
    "unreadable-image": "file that is no image",
    "truncated-image": "JPEG or PNG whose end is missing",
    "damaged-image": "image whose decoder found lost data (with --decode alone)",
    "missing-annotation": "annotation that is not there",
    "malformed-xml": "annotation that is no XML of the VOC kind",
    "hostile-xml": "annotation that declares entities or asks for external files; it was not read",
    "missing-field": "element that an annotation or an object needs and lacks",
    "not-a-number": "coordinate, size or flag that is no number",
    "size-differs": "size in the annotation that is not the image's as the training reads it",
    "box-without-area": "box of zero or negative width or height",
    "box-outside": "box that leaves its image (VOC counts from 1: 1 <= xmin, xmax <= width)",
    "unknown-class": "object of a class that the config does not name; training leaves it out without a word",
    "in-train-and-test": "training image that is in the validation or test split too, by content",
}
# What may be meant so.
REMARKS = {
    "no-boxes": "annotation without a usable box",
    "no-size": "annotation without <size>; MMDetection then decodes the image to learn it",
    "repeated-name": "sample that a split names more than once",
    "duplicate-image": "image whose content another one of the same split has too",
}
KINDS = {**ERRORS, **REMARKS}


class Problem(NamedTuple):
    """One thing wrong with one file.

    Attributes:
        kind: a name of :data:`KINDS`.
        detail: what was found.
        in_annotation: whether it stands in the annotation, not in the image.
        fixed: what a cleaned annotation has instead (``"box dropped"``); empty where the whole sample is left out.
    """

    kind: str
    detail: str
    in_annotation: bool = False
    fixed: str = ""


@dataclass(frozen=True)
class Finding:
    """A problem and where it is: the file, and the splits that read it (``"train"``, ``"val"``, ``"test"``)."""

    kind: str
    file: str
    detail: str
    splits: tuple[str, ...]


@dataclass
class Report:
    """What a check looked at and what it found.

    Attributes:
        images: samples by split.
        boxes: usable boxes by split; empty for classification.
        findings: everything found, in the order of the splits.
        ignored: kinds of error that the user said are meant so; they count as remarks.
    """

    images: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    ignored: frozenset[str] = frozenset()

    def is_error(self, kind: str) -> bool:
        return kind in ERRORS and kind not in self.ignored

    @property
    def failed(self) -> bool:
        """Whether anything but remarks was found."""
        return any(self.is_error(finding.kind) for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return dict(
            failed=self.failed,
            images=self.images,
            boxes=self.boxes,
            ignored=sorted(self.ignored),
            findings=[dict(asdict(one), error=self.is_error(one.kind)) for one in self.findings],
        )

    def text(self, shown: int = 5) -> str:
        """The verdict in one line; before it, where anything was found, a table and files.

        Args:
            shown: files a kind.
        """
        checked = ", ".join(
            f"{name} {count} images" + (f" with {self.boxes[name]} boxes" if name in self.boxes else "")
            for name, count in self.images.items()
        )
        errors = sum(self.is_error(finding.kind) for finding in self.findings)
        remarks = len(self.findings) - errors
        verdict = f"{_count(errors, 'error')}, {_count(remarks, 'remark')}; checked: {checked or 'nothing'}"
        return "\n".join([*self._table(), *self._files(shown), verdict])

    def _table(self) -> list[str]:
        counts = Counter(finding.kind for finding in self.findings)
        if not counts:
            return []
        files = {kind: len({one.file for one in self.findings if one.kind == kind}) for kind in counts}
        rows = [
            f"{kind:<19} {'error' if self.is_error(kind) else 'remark':<7} {counts[kind]:>7} {files[kind]:>7}  {what}"
            for kind, what in KINDS.items()
            if kind in counts
        ]
        return [f"{'kind':<19} {'':<7} {'found':>7} {'files':>7}  what it is", *rows, ""]

    def _files(self, shown: int) -> list[str]:
        lines = []
        for kind in KINDS:
            found = [finding for finding in self.findings if finding.kind == kind]
            for one in found[:shown]:
                lines.append(printable(f"{kind}: {one.file} ({', '.join(one.splits)}): {one.detail}"))
            if found[shown:]:
                lines.append(f"{kind}: and {len(found) - shown} more")
        return [*lines, ""] if lines else []


def summary(problems: list[tuple[str, Problem]], shown: int = 3) -> str:
    """One line about pairs of file and problem: ``"2 × box-without-area (a.xml, b.xml)"``."""
    by_kind: dict[str, list[str]] = {}
    for file, problem in problems:
        by_kind.setdefault(problem.kind, []).append(file)
    parts = []
    for kind, files in by_kind.items():
        names = list(dict.fromkeys(files))
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        parts.append(f"{len(files)} × {kind} ({', '.join(names[:shown])}{more})")
    return printable("; ".join(parts))


def printable(text: str) -> str:
    """Names come from files: what a terminal would act on, or cannot show, is written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
