"""PASCAL VOC 2007 and 2012 and COCO 2017, as MMDetection's configs read them."""

from __future__ import annotations

from pathlib import Path

from ..check.splits import Split
from .archives import Archive
from .data_set import DataSet

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

    def splits(self) -> list[Split]:
        lists, root = self.folder / "ImageSets/Main", str(self.folder)
        folders = (str(self.folder / "JPEGImages"), str(self.folder / "Annotations"))
        return [Split((name,), "voc", root, str(lists / f"{name}.txt"), *folders) for name in self.expected.images]


class Coco(DataSet):
    """``coco`` in ``<root>/coco/{annotations,train2017,val2017}``."""

    def parts(self) -> dict[Path, list[Archive]]:
        return {
            self.folder / part: [Archive(name, md5, f"{_HOST}/{place}/{name}")]
            for part, (name, md5, place) in _ARCHIVES.items()
        }

    def splits(self) -> list[Split]:
        files = {name: self.folder / f"annotations/instances_{name}.json" for name in self.expected.images}
        return [Split((name,), "coco", "", str(path), str(self.folder / name)) for name, path in files.items()]
