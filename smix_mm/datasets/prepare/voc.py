"""PASCAL VOC 2007 and 2012, as MMDetection's VOC configs read them."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from ...utils.parallel import in_parallel
from ..check.findings import Problem
from ..check.voc import parse_annotation, read_annotation
from ..folders import temporary_folder
from .archives import extract
from .data_set import CheckResult, DataSet, Log, compare_counts, decoding_errors, format_counts
from .download import Archive

_IMAGES = "JPEGImages"


class Voc(DataSet):
    """``voc2007``, trainval and test, or ``voc2012``, trainval, in ``<root>/VOCdevkit/VOC<year>/``."""

    @property
    def year(self) -> str:
        return self.name[-4:]

    @property
    def folder(self) -> Path:
        return self.root / "VOCdevkit" / f"VOC{self.year}"

    def missing_archives(self) -> list[Archive]:
        from torchvision.datasets.voc import DATASET_YEAR_DICT

        if self.folder.is_dir():
            return []
        parts = [DATASET_YEAR_DICT[key] for key in (self.year, f"{self.year}-test") if key in DATASET_YEAR_DICT]
        return [Archive(part["filename"], part["md5"], part["url"]) for part in parts]

    def extract(self, archives: Mapping[str, Path], log: Log) -> None:
        with temporary_folder(self.folder) as folder:
            for archive in archives.values():
                extract(archive, folder)
            (folder / "VOCdevkit" / f"VOC{self.year}").rename(self.folder)

    def check(self) -> CheckResult:
        result = CheckResult(self.name)
        if not self.folder.is_dir():
            result.errors.append(f"{self.folder} does not exist")
            return result
        images = {path.stem: path for path in sorted((self.folder / _IMAGES).glob("[!.]*.jpg"))}
        counts, listed = {_IMAGES: len(images)}, set()
        for split in self.expected.images:
            if split != _IMAGES:
                path = self.folder / "ImageSets/Main" / f"{split}.txt"
                stems = path.read_text(encoding="utf-8").split() if path.is_file() else []
                counts[split] = len(stems)
                listed.update(stems)
        compare_counts(result, counts, self.expected)
        if missing := sorted(listed - set(images)):
            result.errors.append(f"{len(missing)} listed images are missing, the first is {missing[0]}.jpg")
        classes = self._check_annotations(result, sorted(listed | set(images)))
        result.errors += decoding_errors([str(path) for path in images.values()], self.folder)
        result.summary = f"{len(classes)} classes, {format_counts(counts)}"
        return result

    def _check_annotations(self, result: CheckResult, stems: list[str]) -> set[str]:
        """Parse every annotation, add errors to the result, and return the classes that occur.

        Boxes and sizes are not checked; ``tools/check_data.py`` does this.
        """
        paths = [str(self.folder / "Annotations" / f"{stem}.xml") for stem in stems]
        classes: set[str] = set()
        for stem, found in zip(stems, in_parallel(_classes_in, paths, label="annotations")):
            if isinstance(found, Problem):
                result.errors.append(f"Annotations/{stem}.xml {found.detail}")
            else:
                classes |= found
        if len(classes) != self.expected.classes:
            result.errors.append(f"annotations have {len(classes)} classes, expected {self.expected.classes}")
        return classes


def _classes_in(path: str) -> set[str] | Problem:
    """The classes of an annotation's objects, or why it cannot be parsed."""
    content = read_annotation(path)
    root = parse_annotation(content) if isinstance(content, bytes) else content
    if isinstance(root, Problem):
        return root
    return {(element.findtext("name") or "").strip() for element in root.findall("object")}
