"""CIFAR-10 and CIFAR-100: the official files, and the same images as an image folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from ..in_memory.reading import CIFAR10, CIFAR100, read_official
from .archives import unpack
from .data_set import DataSet, Say, Verdict, check_folders, compare_counts, said, unpacking
from .download import Archive, md5_of
from .progress import Progress

SPLITS = ("train", "test")


class Cifar(DataSet):
    """``cifar10`` or ``cifar100``, in ``<root>/<name>/`` as torchvision and mmpretrain read it."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root)
        self.files = CIFAR10 if name == "cifar10" else CIFAR100

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def published(self) -> Any:
        """torchvision's class, which knows address and checksums."""
        from torchvision import datasets

        return getattr(datasets, self.name.upper())

    def wanted(self) -> list[Archive]:
        if (self.folder / self.files.folder).is_dir():
            return []
        return [Archive(self.published.filename, self.published.tgz_md5, self.published.url)]

    def unpack(self, archives: Mapping[str, Path], say: Say) -> None:
        target = self.folder / self.files.folder
        with unpacking(target) as folder:
            (archive,) = archives.values()
            unpack(archive, folder)
            (folder / self.files.folder).rename(target)

    def write_folders(self, say: Say) -> None:
        """Write ``<split>/<class>/NNNNN.png`` from the official files, without loss.

        The number is the image's place in them. A split that is there already is left as it is.
        """
        for split in SPLITS:
            target = self.folder / split
            if target.is_dir():
                say(f"{self.name}: {target} is there already")
                continue
            images, labels, classes = read_official(self.folder, self.files, split)
            with unpacking(target) as folder:
                for name in classes:
                    (folder / name).mkdir()
                paths = [folder / classes[label] / f"{place:05d}.png" for place, label in enumerate(labels)]
                _write_images(images, paths, f"writing {split}")
                folder.rename(target)
            say(f"{self.name}: {len(labels):,} images written to {target}")

    def check(self) -> Verdict:
        verdict = Verdict(self.name)
        official = (self.folder / self.files.folder).is_dir()
        folders = any((self.folder / split).is_dir() for split in SPLITS)
        if not (official or folders):
            verdict.faults.append(f"{self.folder} holds neither {self.files.folder}/ nor train/ and test/")
        if folders:
            check_folders(verdict, self.folder, self.expected)
        if official:
            self._check_official(verdict)
        return verdict

    def _check_official(self, verdict: Verdict) -> None:
        base, files = self.folder / self.files.folder, self.published
        sums = [*files.train_list, *files.test_list, (files.meta["filename"], files.meta["md5"])]
        for name, md5 in sums:
            if not (base / name).is_file():
                verdict.faults.append(f"{self.files.folder}/{name} is missing")
            elif md5_of(base / name) != md5:
                verdict.faults.append(f"{self.files.folder}/{name} is broken, or not the published file")
        if not verdict.whole:
            return
        try:
            read = {split: read_official(self.folder, self.files, split) for split in SPLITS}
        except ValueError as error:
            verdict.faults.append(str(error))
            return
        counts = {split: len(labels) for split, (_, labels, _) in read.items()}
        compare_counts(verdict, counts, self.expected)
        for split, (_, labels, classes) in read.items():
            if len(np.unique(labels)) != self.expected.classes or len(classes) != self.expected.classes:
                verdict.faults.append(f"{split} has {len(np.unique(labels))} classes, wanted {self.expected.classes}")
        verdict.seen = f"{self.expected.classes} classes, {said(counts)}"


def _write_images(images: np.ndarray, paths: list[Path], label: str) -> None:
    import cv2

    def write(item: tuple[np.ndarray, Path]) -> None:
        image, path = item
        if not cv2.imwrite(str(path), image.transpose(1, 2, 0)[:, :, ::-1]):
            raise OSError(f"{path} cannot be written")

    with ThreadPoolExecutor() as writers, Progress(label, images.nbytes) as progress:
        for number, _ in enumerate(writers.map(write, zip(images, paths)), 1):
            progress.reach(number * images[0].nbytes)
