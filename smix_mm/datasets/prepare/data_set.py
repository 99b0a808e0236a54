"""What the published data sets have in common: their folder, archives, extraction and check."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

from ...utils.progress import in_parallel
from ...utils.text import first_few
from ..check.checker import SampleCheck, check_listings
from ..check.findings import ERRORS
from ..check.images import ImageInfo
from ..check.listing import compare_folders, list_samples
from ..check.splits import Split
from ..folders import clear_leftovers, temporary_folder
from .archives import Archive, extract, get_archive

Log = Callable[[str], None]

SHOWN = 3
# The published annotations have some of these, which tools/check_data.py lists.
_OF_BOXES = ("size-differs", "missing-field", "not-a-number", "box-without-area", "box-outside")


@dataclass(frozen=True)
class Counts:
    """Number of classes and, by split, of images of a complete data set, and the publication of these numbers."""

    classes: int
    images: Mapping[str, int]
    source: str


_CIFAR = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
EXPECTED = {
    "cifar10": Counts(10, dict(train=50_000, test=10_000), _CIFAR),
    "cifar100": Counts(100, dict(train=50_000, test=10_000), _CIFAR),
    "tiny-imagenet": Counts(200, dict(train=100_000, val=10_000), "Stanford CS231n, Tiny ImageNet Challenge"),
    "imagenet": Counts(1000, dict(train=1_281_167, val=50_000), "Russakovsky et al., ILSVRC, IJCV 2015"),
    "voc2007": Counts(20, dict(trainval=5_011, test=4_952), "Everingham et al., PASCAL VOC, IJCV 2010"),
    "coco": Counts(80, dict(train2017=118_287, val2017=5_000), "Lin et al., Microsoft COCO, ECCV 2014; split of 2017"),
    # Its development kit counts 11,530 images that have a usable object; the list has 11,540 lines.
    "voc2012": Counts(20, dict(trainval=11_540), "lines of VOCtrainval_11-May-2012.tar"),
}


@dataclass
class CheckResult:
    """The result of checking a data set.

    Attributes:
        name: name of the data set.
        errors: everything that is wrong, the most important first.
        summary: what was found, such as ``"10 classes, 50,000 images in train, 10,000 in test"``.
        verified: what is known of a complete data set.
    """

    name: str
    errors: list[str] = field(default_factory=list)
    summary: str = ""
    verified: str = "every image opens"

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def line(self) -> str:
        """The result in one line."""
        if self.complete:
            return f"{self.name} is complete: {self.summary}; {self.verified}"
        return f"{self.name} is incomplete or damaged: {first_few(self.errors, SHOWN, '; ')}"

    def compare(self, counts: Mapping[str, int], expected: Counts, classes: int) -> None:
        """Add each split whose number of images differs, and set the summary."""
        for split, number in expected.images.items():
            if counts[split] != number:
                self.errors.append(f"{split} has {counts[split]:,} images, expected {number:,}")
        listed = ", ".join(f"{number:,} in {split}" for split, number in counts.items())
        self.summary = f"{_count(classes, 'class')}, {listed.replace(' in', ' images in', 1)}"


class DataSet(ABC):
    """A published data set, by its name on the command line and the folder of all data sets."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root, self.expected = name, root, EXPECTED[name]

    @property
    def folder(self) -> Path:
        """The folder of the data set."""
        return self.root / self.name

    @abstractmethod
    def parts(self) -> dict[Path, list[Archive]]:
        """The archives of each folder to create."""

    def missing(self) -> dict[Path, list[Archive]]:
        """The archives of each folder that does not exist."""
        return {folder: archives for folder, archives in self.parts().items() if not folder.is_dir()}

    def prepare(self, sources: Sequence[Path], log: Log) -> None:
        """Create what is missing, from archives in ``sources`` or downloaded; see :func:`.prepare_data`."""
        for folder in (self.folder.parent, self.folder):
            clear_leftovers(folder)
        missing, downloads = self.missing(), self.root / "downloads"
        needed = [archive for archives in missing.values() for archive in archives]
        found = {one.name: get_archive(one, sources, downloads, len(needed) == 1) for one in needed}
        for folder, archives in missing.items():
            self.create(folder, [found[archive.name] for archive in archives])
        for archive in needed:  # of a download that was given up
            (downloads / f"{archive.name}.part").unlink(missing_ok=True)
        log(f"{self.name}: {f'ready in {self.folder}' if missing else f'{self.folder} already exists'}")

    def create(self, target: Path, archives: list[Path]) -> None:
        """Create a folder, which appears when it is complete, from the archives that have it inside."""
        with temporary_folder(target) as work:
            for archive in archives:
                extract(archive, work)
            self.extracted(work, target).rename(target)

    def extracted(self, work: Path, target: Path) -> Path:
        """The folder to become ``target`` below that into which its archives were extracted."""
        return work / target.name

    def splits(self) -> list[Split]:
        """What to check: class folders, unless a subclass has annotations."""
        return [Split((name,), "folders", "", "", str(self.folder / name)) for name in self.expected.images]

    def check(self) -> CheckResult:
        """Count images and classes, and open every image that is in a class folder or listed."""
        listings = [list_samples(split) for split in self.splits()]
        compare_folders(listings)
        checked = check_listings(listings, _read_images, decode=True)
        classes = set[str]()
        for listing in listings:
            classes.update(listing.folders[number] for number in (listing.labels() if listing.folders else ()))
            classes.update(name for annotation in checked.annotations(listing) for name in annotation.labels)
        result = CheckResult(self.name)
        result.compare(checked.report.images, self.expected, len(classes))
        if len(classes) != self.expected.classes:
            result.errors.append(f"{_count(len(classes), 'class')} found, expected {self.expected.classes}")
        for one in checked.report.findings:
            if one.kind == "empty-class" or (one.kind in ERRORS and one.kind not in _OF_BOXES):
                result.errors.append(f"{os.path.relpath(one.file, self.folder)} {one.detail}")
        return result


def _read_images(function: Any, pairs: Sequence[Any]) -> Iterator[SampleCheck]:
    """Check samples in parallel; all good images share one result, because ImageNet has more than a million."""
    good = SampleCheck(ImageInfo([]), None)
    for result in in_parallel(function, pairs, label="images"):
        yield result if result.problems or result.annotation else good


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}es"
