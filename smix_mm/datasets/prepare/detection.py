"""PASCAL VOC 2007 and 2012 and COCO 2017, as MMDetection's configs read them."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from ...utils.errors import DataError
from ...utils.parallel import in_parallel
from ...utils.text import first_few
from ..check.coco import read_coco
from ..check.findings import Finding, why_unreadable
from ..check.text import parse_annotation, read_annotation
from .archives import Archive
from .data_set import CheckResult, DataSet

_IMAGES = "JPEGImages"
_HOST = "http://images.cocodataset.org"
# The host publishes no MD5; these are those of PaddleDetection's list of downloads.
_ARCHIVES = {
    "annotations": ("annotations_trainval2017.zip", "f4bbac642086de4f52a3fdda2de5fa2c", "annotations"),
    "train2017": ("train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2", "zips"),
    "val2017": ("val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80", "zips"),
}


class Voc(DataSet):
    """``voc2007``, trainval and test, or ``voc2012``, trainval, in ``<root>/VOCdevkit/VOC<year>/``."""

    @property
    def folder(self) -> Path:
        return self.root / "VOCdevkit" / self.name.upper()

    def parts(self) -> dict[Path, list[Archive]]:
        from torchvision.datasets.voc import DATASET_YEAR_DICT

        keys = [key for key in (self.name[-4:], f"{self.name[-4:]}-test") if key in DATASET_YEAR_DICT]
        parts = [DATASET_YEAR_DICT[key] for key in keys]
        return {self.folder: [Archive(part["filename"], part["md5"], part["url"]) for part in parts]}

    def extracted(self, work: Path, target: Path) -> Path:
        return work / "VOCdevkit" / target.name

    def check(self) -> CheckResult:
        """Count files, lines and classes, and open every image; ``tools/check_data.py`` checks boxes and sizes."""
        if not self.folder.is_dir():
            return CheckResult(self.name, [f"{self.folder} does not exist"])
        images = {path.stem: path for path in sorted((self.folder / _IMAGES).glob("[!.]*.jpg"))}
        counts, listed = {_IMAGES: len(images)}, set[str]()
        for split in (split for split in self.expected.images if split != _IMAGES):
            path = self.folder / "ImageSets/Main" / f"{split}.txt"
            stems = path.read_text(encoding="utf-8").split() if path.is_file() else []
            counts[split] = len(stems)
            listed.update(stems)
        paths = [str(self.folder / "Annotations" / f"{stem}.xml") for stem in sorted(listed | set(images))]
        missing = sorted(listed - set(images))
        errors = [f"{len(missing)} listed images are missing, the first is {missing[0]}.jpg"] if missing else []
        classes = set[str]()
        for found in in_parallel(_classes_in, paths, label="annotations"):
            if isinstance(found, Finding):
                errors.append(f"Annotations/{Path(found.file).name} {found.detail}")
            else:
                classes |= found
        return _result(self, counts, classes, errors, [str(path) for path in images.values()])


def _classes_in(path: str) -> set[str] | Finding:
    """The classes of an annotation's objects, or why it cannot be parsed."""
    content = read_annotation(path)
    root = parse_annotation(content, path) if isinstance(content, bytes) else content
    if isinstance(root, Finding):
        return root
    return {(element.findtext("name") or "").strip() for element in root.findall("object")}


class Coco(DataSet):
    """``coco`` in ``<root>/coco/{annotations,train2017,val2017}``."""

    def parts(self) -> dict[Path, list[Archive]]:
        return {
            self.folder / part: [Archive(name, md5, f"{_HOST}/{place}/{name}")]
            for part, (name, md5, place) in _ARCHIVES.items()
        }

    def check(self) -> CheckResult:
        """Count images and classes, compare images with those listed, and open them; boxes are not checked."""
        counts, classes = dict[str, int](), set[str]()
        errors, paths = list[str](), list[str]()
        for split in self.expected.images:
            images = {path.name: str(path) for path in sorted((self.folder / split).glob("[!.]*.jpg"))}
            counts[split] = len(images)
            paths += images.values()
            name = f"annotations/instances_{split}.json"
            try:
                file = read_coco(self.folder / name)
            except (DataError, OSError) as error:
                errors.append(f"{name} {error if isinstance(error, DataError) else why_unreadable(error)}")
                continue
            classes.update(file.names)
            errors += [f"{name}: {detail}" for _, detail in file.problems]
            if missing := sorted({record.image["file_name"] for record in file.records} - set(images)):
                errors.append(f"{len(missing)} images of {name} are missing: {first_few(missing, 2)}")
        return _result(self, counts, classes, errors, paths)


def _result(
    data_set: DataSet, counts: Mapping[str, int], classes: set[str], errors: list[str], paths: list[str]
) -> CheckResult:
    """The result of a check whose annotations have these classes and errors; the images are opened."""
    result, expected = CheckResult(data_set.name), data_set.expected
    result.compare({split: counts[split] for split in expected.images}, expected, len(classes))
    result.errors += errors
    if len(classes) != expected.classes:
        result.errors.append(f"annotations have {len(classes)} classes, expected {expected.classes}")
    result.decode(paths, data_set.folder)
    return result
