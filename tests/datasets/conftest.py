"""Real annotated images that tests may damage."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

CLASSES = ("RBC", "WBC", "Platelets")


@dataclass
class Cells:
    """Twelve images of BCCD in VOC layout, with nothing wrong until a test damages them."""

    root: Path
    train = tuple(f"BloodImage_000{number:02d}" for number in (1, 2, 3, 4, 6, 9, 10, 11, 12, 13))
    test = ("BloodImage_00000", "BloodImage_00007")

    def jpg(self, number: int) -> Path:
        return self.root / f"JPEGImages/{self.train[number]}.jpg"

    def xml(self, number: int) -> Path:
        return self.root / f"Annotations/{self.train[number]}.xml"

    @property
    def trainval(self) -> Path:
        return self.root / "ImageSets/Main/trainval.txt"

    def change(self, number: int, old: str, new: str) -> Path:
        """Exchange the first of a text in a training annotation."""
        text = self.xml(number).read_text()
        assert old in text
        self.xml(number).write_text(text.replace(old, new, 1))
        return self.xml(number)

    def config(self, root: Path | None = None, classes: tuple[str, ...] = CLASSES) -> dict:
        dataset = dict(
            type="VOCDataset",
            data_root=str(root or self.root),
            data_prefix=dict(sub_data_root=""),
            metainfo=dict(classes=classes),
        )
        return {
            f"{part}_dataloader": dict(dataset=dict(dataset, ann_file=f"ImageSets/Main/{split}.txt"))
            for part, split in dict(train="trainval", val="test", test="test").items()
        }

    def damage(self) -> set[tuple[str, str]]:
        """Do to all training images but the first what their finding is named after; (kind, file's name) of each."""
        self.jpg(1).write_bytes(self.jpg(1).read_bytes()[:9000])
        self.jpg(2).unlink()
        self.jpg(3).write_text("no image")
        self.xml(4).write_text(self.xml(4).read_text()[:300])
        self.xml(5).unlink()
        self.change(6, "<width>640</width>", "<width>480</width>")
        self.change(7, "<name>RBC</name>", "<name>rbc</name>")
        self.change(8, "<xmax>", "<xmax>9")
        shutil.copy(self.root / f"JPEGImages/{self.test[0]}.jpg", self.jpg(9))
        images = {1: "truncated-image", 2: "missing-image", 3: "unreadable-image", 9: "in-train-and-test"}
        annotations = {
            4: "malformed-xml", 5: "missing-annotation", 6: "size-differs", 7: "unknown-class", 8: "box-outside"
        }  # fmt: skip
        found = {(kind, self.jpg(number).name) for number, kind in images.items()}
        return found | {(kind, self.xml(number).name) for number, kind in annotations.items()}


@pytest.fixture
def cells(smix_data: Path, tmp_path: Path) -> Cells:
    cells = Cells(tmp_path / "cells")
    for part, names in (("trainval", cells.train), ("test", cells.test)):
        (cells.root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (cells.root / f"ImageSets/Main/{part}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
                (cells.root / folder).mkdir(exist_ok=True)
                shutil.copy(smix_data / f"BCCD/{folder}/{name}.{suffix}", cells.root / folder)
    return cells
