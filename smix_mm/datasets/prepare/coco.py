"""COCO 2017 with its boxes, as MMDetection's COCO configs read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Mapping

from ...utils.text import first_few
from ..folders import temporary_folder
from .archives import extract
from .data_set import CheckResult, DataSet, Log
from .download import Archive

_HOST = "http://images.cocodataset.org"
# The host publishes no MD5; these are those of PaddleDetection's list of downloads.
_ARCHIVES = {
    "annotations": ("annotations_trainval2017.zip", "f4bbac642086de4f52a3fdda2de5fa2c", "annotations"),
    "train2017": ("train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2", "zips"),
    "val2017": ("val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80", "zips"),
}


class Coco(DataSet):
    """``coco`` in ``<root>/coco/{annotations,train2017,val2017}``."""

    @property
    def folder(self) -> Path:
        return self.root / "coco"

    def missing_archives(self) -> list[Archive]:
        return [
            Archive(name, md5, f"{_HOST}/{place}/{name}")
            for part, (name, md5, place) in _ARCHIVES.items()
            if not (self.folder / part).is_dir()
        ]

    def extract(self, archives: Mapping[str, Path], log: Log) -> None:
        for part, (name, _, _) in _ARCHIVES.items():
            if name in archives:
                with temporary_folder(self.folder / part) as folder:
                    extract(archives[name], folder)
                    (folder / part).rename(self.folder / part)
                log(f"{self.name}: {name} extracted to {self.folder / part}")

    def check(self) -> CheckResult:
        result = CheckResult(self.name)
        counts: dict[str, int] = {}
        classes: set[str] = set()
        paths: list[str] = []
        for split in self.expected.images:
            images = {path.name: str(path) for path in sorted((self.folder / split).glob("[!.]*.jpg"))}
            counts[split] = len(images)
            paths += images.values()
            classes |= _check_annotations(result, self.folder / f"annotations/instances_{split}.json", set(images))
        result.compare(counts, self.expected, len(classes))
        if len(classes) != self.expected.classes:
            result.errors.append(f"annotations have {len(classes)} classes, expected {self.expected.classes}")
        result.decode(paths, self.folder)
        return result


def _check_annotations(result: CheckResult, path: Path, images: set[str]) -> set[str]:
    """Compare the images that a file of annotations lists with those that exist; the names of its classes.

    Boxes are not checked; ``tools/check_data.py`` does this.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = {image["id"]: image["file_name"] for image in content["images"]}
        categories = {category["id"]: category["name"] for category in content["categories"]}
        objects = [(each["image_id"], each["category_id"], len(each["bbox"])) for each in content["annotations"]]
    except FileNotFoundError:
        result.errors.append(f"{name} does not exist")
        return set()
    except (ValueError, TypeError, KeyError) as error:
        result.errors.append(f"{name} is damaged ({type(error).__name__}: {error})")
        return set()
    if missing := sorted(set(listed.values()) - images):
        result.errors.append(f"{len(missing)} images of {name} are missing: {first_few(missing, 2)}")
    wrong = sum(image not in listed or kind not in categories or size != 4 for image, kind, size in objects)
    if wrong:
        result.errors.append(f"{wrong} objects of {name} have no image, no category or no box")
    return set(categories.values())
