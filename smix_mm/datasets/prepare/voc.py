"""PASCAL VOC 2007 and 2012, as MMDetection's VOC configs read them."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from ...utils.progress import in_parallel
from ..check.findings import Problem
from ..check.voc import parse_annotation, read_annotation
from ..folders import temporary_folder
from .archives import extract
from .data_set import CheckResult, DataSet, Log
from .download import Archive

_IMAGES = "JPEGImages"


class Voc(DataSet):
    """``voc2007``, trainval and test, or ``voc2012``, trainval, in ``<root>/VOCdevkit/VOC<year>/``."""

    @property
    def folder(self) -> Path:
        return self.root / "VOCdevkit" / self.name.upper()

    def missing_archives(self) -> list[Archive]:
        from torchvision.datasets.voc import DATASET_YEAR_DICT

        if self.folder.is_dir():
            return []
        year = self.name[-4:]
        parts = [DATASET_YEAR_DICT[key] for key in (year, f"{year}-test") if key in DATASET_YEAR_DICT]
        return [Archive(part["filename"], part["md5"], part["url"]) for part in parts]

    def extract(self, archives: Mapping[str, Path], log: Log) -> None:
        with temporary_folder(self.folder) as folder:
            for archive in archives.values():
                extract(archive, folder)
            (folder / "VOCdevkit" / self.folder.name).rename(self.folder)

    def check(self) -> CheckResult:
        """Count files, lines and classes, and open every image; ``tools/check_data.py`` checks boxes and sizes."""
        result = CheckResult(self.name)
        if not self.folder.is_dir():
            result.errors.append(f"{self.folder} does not exist")
            return result
        images = {path.stem: path for path in sorted((self.folder / _IMAGES).glob("[!.]*.jpg"))}
        counts, listed = {_IMAGES: len(images)}, set()
        for split in set(self.expected.images) - {_IMAGES}:
            path = self.folder / "ImageSets/Main" / f"{split}.txt"
            stems = path.read_text(encoding="utf-8").split() if path.is_file() else []
            counts[split] = len(stems)
            listed.update(stems)
        stems = sorted(listed | set(images))
        paths = [str(self.folder / "Annotations" / f"{stem}.xml") for stem in stems]
        found = dict(zip(stems, in_parallel(_classes_in, paths, label="annotations")))
        classes = set().union(*(names for names in found.values() if isinstance(names, set)))
        result.compare({split: counts[split] for split in self.expected.images}, self.expected, len(classes))
        if missing := sorted(listed - set(images)):
            result.errors.append(f"{len(missing)} listed images are missing, the first is {missing[0]}.jpg")
        for stem, names in found.items():
            if isinstance(names, Problem):
                result.errors.append(f"Annotations/{stem}.xml {names.detail}")
        if len(classes) != self.expected.classes:
            result.errors.append(f"annotations have {len(classes)} classes, expected {self.expected.classes}")
        result.decode([str(path) for path in images.values()], self.folder)
        return result


def _classes_in(path: str) -> set[str] | Problem:
    """The classes of an annotation's objects, or why it cannot be parsed."""
    content = read_annotation(path)
    root = parse_annotation(content) if isinstance(content, bytes) else content
    if isinstance(root, Problem):
        return root
    return {(element.findtext("name") or "").strip() for element in root.findall("object")}
