"""What the published data sets have in common: their folder, archives, extraction and check."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Mapping

from ...utils.parallel import in_parallel
from ...utils.text import first_few
from ..check.images import capture_decoder_warnings, check_image
from ..in_memory.reading import EXTENSIONS
from .download import Archive

Log = Callable[[str], None]

SHOWN = 3


@dataclass(frozen=True)
class Counts:
    """The size of a complete data set.

    Attributes:
        classes: number of classes.
        images: number of images by split.
        source: the publication of these numbers.
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
class CheckResult:
    """The result of checking a data set.

    Attributes:
        name: name of the data set.
        errors: everything that is wrong, the most important first.
        summary: what was found, such as ``"10 classes, 50,000 images in train, 10,000 in test"``.
        proof: what was checked of each image.
    """

    name: str
    errors: list[str] = field(default_factory=list)
    summary: str = ""
    proof: str = "every image opens"

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def line(self) -> str:
        """The result in one line."""
        if self.complete:
            return f"{self.name} is complete: {self.summary}; {self.proof}"
        return f"{self.name} is incomplete or damaged: {first_few(self.errors, SHOWN, '; ')}"


class DataSet(ABC):
    """A published data set.

    Args:
        name: its name on the command line.
        root: the folder of all data sets.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.expected = EXPECTED[name]

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder of the data set."""

    @abstractmethod
    def missing_archives(self) -> list[Archive]:
        """The archives needed for what is missing; empty if nothing is missing."""

    @abstractmethod
    def extract(self, archives: Mapping[str, Path], log: Log) -> None:
        """Create what is missing from the archives, by name; a folder appears when it is complete."""

    def check(self) -> CheckResult:
        """Count files and classes, and open every image."""
        result = CheckResult(self.name)
        check_folders(result, self.folder, self.expected)
        return result


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """A new folder beside ``target`` in which it is built; it is deleted in the end, so move the result out of it."""
    folder = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_folders(result: CheckResult, folder: Path, expected: Counts) -> None:
    """Check images in class folders, ``<split>/<class>/``, and add errors and summary to the result."""
    classes: dict[str, set[str]] = {}
    paths: list[str] = []
    counts = {}
    for split in expected.images:
        found = _images_by_class(folder / split)
        classes[split] = {name for name, images in found.items() if images}
        paths += [str(path) for images in found.values() for path in images]
        counts[split] = sum(map(len, found.values()))
        if len(classes[split]) != expected.classes:
            result.errors.append(f"{split} has {_count(len(classes[split]), 'class')}, expected {expected.classes}")
    everywhere = set().union(*classes.values())
    for split, names in classes.items():
        if missing := sorted(everywhere - names):
            result.errors.append(f"{split} has no image of {first_few(missing, SHOWN)}")
    compare_counts(result, counts, expected)
    result.errors += decoding_errors(paths, folder)
    result.summary = f"{_count(len(everywhere), 'class')}, {format_counts(counts)}"


def _images_by_class(folder: Path) -> dict[str, list[Path]]:
    """Image files under each class folder, at any depth; empty if the folder does not exist."""
    parts = sorted(part for part in folder.iterdir() if part.is_dir()) if folder.is_dir() else []
    return {part.name: [path for path in part.rglob("[!.]*") if path.suffix.lower() in EXTENSIONS] for part in parts}


def compare_counts(result: CheckResult, counts: Mapping[str, int], expected: Counts) -> None:
    """Add each split whose number of images differs to the result."""
    for split, number in expected.images.items():
        if counts[split] != number:
            result.errors.append(f"{split} has {counts[split]:,} images, expected {number:,}")


def format_counts(counts: Mapping[str, int]) -> str:
    """Numbers of images as ``"50,000 images in train, 10,000 in test"``."""
    return ", ".join(f"{number:,} in {split}" for split, number in counts.items()).replace(" in", " images in", 1)


def decoding_errors(paths: list[str], folder: Path) -> list[str]:
    """Decode images; the error of each bad one, with its path inside ``folder``."""
    errors = in_parallel(_decoding_error, paths, label="images", initializer=capture_decoder_warnings)
    return [f"{Path(path).relative_to(folder)} {error}" for path, error in zip(paths, errors) if error]


def _decoding_error(path: str) -> str:
    problems = check_image(path, decode=True).problems
    return problems[0].detail if problems else ""


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}es"
