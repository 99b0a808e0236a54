"""PASCAL VOC 2007 and 2012, as MMDetection's VOC configs read them."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from ..check.parallel import in_parallel
from ..check.voc import clean_annotation, read_annotation
from .archives import unpack
from .data_set import DataSet, Say, Verdict, compare_counts, faults_of, said, unpacking
from .download import Archive

_IMAGES = "JPEGImages"
# What makes an annotation useless; boxes and sizes are the matter of check_data.
_USELESS = ("missing-annotation", "malformed-xml", "hostile-xml")


class Voc(DataSet):
    """``voc2007``, trainval and test, or ``voc2012``, trainval, in ``<root>/VOCdevkit/VOC<year>/``."""

    @property
    def year(self) -> str:
        return self.name[-4:]

    @property
    def folder(self) -> Path:
        return self.root / "VOCdevkit" / f"VOC{self.year}"

    def wanted(self) -> list[Archive]:
        from torchvision.datasets.voc import DATASET_YEAR_DICT

        if self.folder.is_dir():
            return []
        parts = [DATASET_YEAR_DICT[key] for key in (self.year, f"{self.year}-test") if key in DATASET_YEAR_DICT]
        return [Archive(part["filename"], part["md5"], part["url"]) for part in parts]

    def unpack(self, archives: Mapping[str, Path], say: Say) -> None:
        with unpacking(self.folder) as folder:
            for archive in archives.values():
                unpack(archive, folder)
            (folder / "VOCdevkit" / f"VOC{self.year}").rename(self.folder)

    def check(self) -> Verdict:
        verdict = Verdict(self.name)
        if not self.folder.is_dir():
            verdict.faults.append(f"{self.folder} is not there")
            return verdict
        images = {path.stem: path for path in sorted((self.folder / _IMAGES).glob("[!.]*.jpg"))}
        counts, listed = {_IMAGES: len(images)}, set()
        for split in self.expected.images:
            if split != _IMAGES:
                stems = self._stems(split)
                counts[split] = len(stems)
                listed.update(stems)
        compare_counts(verdict, counts, self.expected)
        if missing := sorted(listed - set(images)):
            verdict.faults.append(f"listed images are missing, {len(missing)} in all, first {missing[0]}.jpg")
        classes = self._check_annotations(verdict, sorted(listed | set(images)))
        verdict.faults += faults_of([str(path) for path in images.values()], self.folder)
        verdict.seen = f"{len(classes)} classes, {said(counts)}"
        return verdict

    def _stems(self, split: str) -> list[str]:
        path = self.folder / "ImageSets/Main" / f"{split}.txt"
        return path.read_text(encoding="utf-8").split() if path.is_file() else []

    def _check_annotations(self, verdict: Verdict, stems: list[str]) -> set[str]:
        """Read every annotation; the classes that occur."""
        paths = [str(self.folder / "Annotations" / f"{stem}.xml") for stem in stems]
        classes: set[str] = set()
        for stem, (fault, names) in zip(stems, in_parallel(_classes_in, paths, label="annotations")):
            classes |= names
            if fault:
                verdict.faults.append(f"Annotations/{stem}.xml {fault}")
        if len(classes) != self.expected.classes:
            verdict.faults.append(f"annotations have {len(classes)} classes, wanted {self.expected.classes}")
        return classes


def _classes_in(path: str) -> tuple[str, set[str]]:
    """Why an annotation is useless, or nothing; and the classes of its objects."""
    content = read_annotation(path)
    if not isinstance(content, bytes):
        return content.detail, set()
    annotation = clean_annotation(content, ())
    faults = [problem.detail for problem in annotation.problems if problem.kind in _USELESS]
    return (faults or [""])[0], _names(content)


def _names(content: bytes) -> set[str]:
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(content, forbid_dtd=False)
    except Exception:  # expat and the codecs have many ways to refuse bytes; the fault is known already
        return set()
    return {(element.findtext("name") or "").strip() for element in root.findall("object")}
