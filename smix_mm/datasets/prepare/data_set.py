"""What the published data sets have in common: their folder, archives, extraction and check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Sequence

from ...utils.progress import in_parallel
from ...utils.text import first_few
from ..check.images import capture_decoder_warnings, check_image
from ..folders import clear_leftovers
from ..in_memory.reading import EXTENSIONS
from .download import Archive, get_archive

Log = Callable[[str], None]

SHOWN = 3


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
    "voc2007": Counts(
        20, dict(JPEGImages=9_963, trainval=5_011, test=4_952), "Everingham et al., PASCAL VOC, IJCV 2010"
    ),
    "coco": Counts(80, dict(train2017=118_287, val2017=5_000), "Lin et al., Microsoft COCO, ECCV 2014; split of 2017"),
    # Its development kit counts 11,530 images that have a usable object; the list has 11,540 lines.
    "voc2012": Counts(20, dict(JPEGImages=17_125, trainval=11_540), "files and lines of VOCtrainval_11-May-2012.tar"),
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

    def decode(self, paths: list[str], folder: Path) -> None:
        """Decode images, and add each bad one with its path inside ``folder``."""
        errors = in_parallel(_decoding_error, paths, label="images", initializer=capture_decoder_warnings)
        self.errors += [f"{Path(path).relative_to(folder)} {error}" for path, error in zip(paths, errors) if error]


class DataSet(ABC):
    """A published data set, by its name on the command line and the folder of all data sets."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root, self.expected = name, root, EXPECTED[name]

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder of the data set."""

    def prepare(self, sources: Sequence[Path], log: Log) -> None:
        """Create what is missing, from archives in ``sources`` or downloaded; see :func:`.prepare_data`."""
        for folder in (self.folder.parent, self.folder):
            clear_leftovers(folder)
        missing, downloads = self.missing_archives(), self.root / "downloads"
        if missing:
            found = {one.name: get_archive(one, sources, downloads, len(missing) == 1) for one in missing}
            self.extract(found, log)
            for archive in missing:  # of a download that was given up
                (downloads / f"{archive.name}.part").unlink(missing_ok=True)
        log(f"{self.name}: {f'ready in {self.folder}' if missing else f'{self.folder} already exists'}")

    @abstractmethod
    def missing_archives(self) -> list[Archive]:
        """The archives needed for what is missing; empty if nothing is missing."""

    @abstractmethod
    def extract(self, archives: Mapping[str, Path], log: Log) -> None:
        """Create what is missing from the archives, by name; a folder appears when it is complete."""

    def check(self) -> CheckResult:
        """Count files and classes, ``<split>/<class>/*``, and open every image."""
        result = CheckResult(self.name)
        found = {split: _images_by_class(self.folder / split) for split in self.expected.images}
        for split, classes in found.items():
            if len(classes) != self.expected.classes:
                result.errors.append(f"{split} has {_count(len(classes), 'class')}, expected {self.expected.classes}")
        everywhere = set().union(*found.values())
        for split, classes in found.items():
            if missing := sorted(everywhere - set(classes)):
                result.errors.append(f"{split} has no image of {first_few(missing, SHOWN)}")
        paths = {split: [path for images in classes.values() for path in images] for split, classes in found.items()}
        result.compare({split: len(images) for split, images in paths.items()}, self.expected, len(everywhere))
        result.decode([path for images in paths.values() for path in images], self.folder)
        return result


def _images_by_class(folder: Path) -> dict[str, list[str]]:
    """Image files, at any depth, of each class folder that has any; empty if the folder does not exist."""
    parts = sorted(part for part in folder.iterdir() if part.is_dir()) if folder.is_dir() else []
    found = {p.name: [str(f) for f in p.rglob("[!.]*") if f.suffix.lower() in EXTENSIONS] for p in parts}
    return {name: images for name, images in found.items() if images}


def _decoding_error(path: str) -> str:
    problems = check_image(path, decode=True).problems
    return problems[0].detail if problems else ""


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}es"
