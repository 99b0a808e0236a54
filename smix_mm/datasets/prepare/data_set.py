"""What every published data set has in common: where it lies, what it is made from, and when it is whole."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Mapping

from ..check.images import catch_complaints, check_image
from ..check.parallel import in_parallel
from ..in_memory.reading import EXTENSIONS
from .download import Archive

Say = Callable[[str], None]

FAULTS_SHOWN = 3


@dataclass(frozen=True)
class Counts:
    """How much a whole data set has, and who says so.

    Attributes:
        classes: number of classes.
        images: number of images by split.
        source: where these numbers stand.
    """

    classes: int
    images: Mapping[str, int]
    source: str


_CIFAR = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
EXPECTED = {
    "cifar10": Counts(10, dict(train=50_000, test=10_000), _CIFAR),
    "cifar100": Counts(100, dict(train=50_000, test=10_000), _CIFAR),
    "tiny-imagenet": Counts(200, dict(train=100_000, val=10_000), "Stanford CS231n, Tiny ImageNet Challenge"),
    "imagenet": Counts(1000, dict(train=1_281_167, val=50_000), "Russakovsky et al., ILSVRC, IJCV 2015"),
    "voc2007": Counts(
        20, dict(JPEGImages=9_963, trainval=5_011, test=4_952), "Everingham et al., PASCAL VOC, IJCV 2010"
    ),
    # Its development kit counts 11,530 images that have a usable object; the list has 11,540 lines.
    "voc2012": Counts(20, dict(JPEGImages=17_125, trainval=11_540), "files and lines of VOCtrainval_11-May-2012.tar"),
}


@dataclass
class Verdict:
    """What a check of a data set came to.

    Attributes:
        name: of the data set.
        faults: all that is wrong, most important first.
        seen: what there is, such as ``"10 classes, 50,000 images in train, 10,000 in test"``.
    """

    name: str
    faults: list[str] = field(default_factory=list)
    seen: str = ""

    @property
    def whole(self) -> bool:
        return not self.faults

    def line(self) -> str:
        """The verdict in one line."""
        if self.whole:
            return f"{self.name}: whole: {self.seen}; every image opens"
        more = len(self.faults) - FAULTS_SHOWN
        shown = "; ".join(self.faults[:FAULTS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.name}: not whole: {shown}"


class DataSet(ABC):
    """A published data set.

    Args:
        name: as on the command line.
        root: the folder of all data sets.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.expected = EXPECTED[name]

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where the data set lies."""

    @abstractmethod
    def wanted(self) -> list[Archive]:
        """The archives that what is still missing is made from; none where nothing is missing."""

    @abstractmethod
    def unpack(self, archives: Mapping[str, Path], say: Say) -> None:
        """Make what is missing from the archives, by name. A part is there whole or not at all."""

    @abstractmethod
    def check(self) -> Verdict:
        """Count files and classes, and open every image."""


@contextmanager
def unpacking(target: Path) -> Iterator[Path]:
    """A new folder beside ``target``, to be renamed to it, or to hold what will be; what stays in it is deleted."""
    folder = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_folders(verdict: Verdict, folder: Path, expected: Counts) -> None:
    """Check images in folders of classes, ``<split>/<class>/``; what is found is added to the verdict."""
    classes: dict[str, set[str]] = {}
    paths: list[str] = []
    counts = {}
    for split in expected.images:
        found = images_by_class(folder / split)
        classes[split] = {name for name, images in found.items() if images}
        paths += [str(path) for images in found.values() for path in images]
        counts[split] = sum(map(len, found.values()))
        if len(classes[split]) != expected.classes:
            verdict.faults.append(f"{split} has {_count(len(classes[split]), 'class')}, wanted {expected.classes}")
    everywhere = set().union(*classes.values())
    for split, names in classes.items():
        if missing := sorted(everywhere - names):
            verdict.faults.append(f"{split} has no image of {', '.join(missing[:FAULTS_SHOWN])}")
    compare_counts(verdict, counts, expected)
    verdict.faults += faults_of(paths, folder)
    verdict.seen = f"{_count(len(everywhere), 'class')}, {said(counts)}"


def images_by_class(folder: Path) -> dict[str, list[Path]]:
    """Image files under each class folder, of any depth; nothing where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {
        part.name: [path for path in part.rglob("[!.]*") if path.suffix.lower() in EXTENSIONS]
        for part in sorted(folder.iterdir())
        if part.is_dir()
    }


def compare_counts(verdict: Verdict, counts: Mapping[str, int], expected: Counts) -> None:
    """Add to the verdict each split that has another number of images than it should."""
    for split, number in expected.images.items():
        if counts[split] != number:
            verdict.faults.append(f"{split} has {counts[split]:,} images, wanted {number:,}")


def said(counts: Mapping[str, int]) -> str:
    """Numbers of images in words."""
    return ", ".join(f"{number:,} in {split}" for split, number in counts.items()).replace(" in", " images in", 1)


def faults_of(paths: list[str], folder: Path) -> list[str]:
    """Decode images; what is wrong with those that have a fault, named by their place in ``folder``."""
    looks = in_parallel(_fault, paths, label="images", prepare=catch_complaints)
    return [f"{Path(path).relative_to(folder)} {fault}" for path, fault in zip(paths, looks) if fault]


def _fault(path: str) -> str:
    problems = check_image(path, decode=True).problems
    return problems[0].detail if problems else ""


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}es"
