"""CIFAR-10 and CIFAR-100: the official files, and the same images as image folders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...utils.errors import DataError
from ...utils.progress import track
from ..folders import temporary_folder
from .archives import Archive
from .data_set import CheckResult, DataSet, Log


class Cifar(DataSet):
    """``cifar10`` or ``cifar100``, in ``<root>/<name>/`` as torchvision and mmpretrain read it."""

    @property
    def published(self) -> Any:
        """torchvision's class, which has the address and the checksums."""
        from torchvision import datasets

        return getattr(datasets, self.name.upper())

    @property
    def official(self) -> Path:
        """The folder of the official files."""
        return self.folder / self.published.base_folder

    def parts(self) -> dict[Path, list[Archive]]:
        return {self.official: [Archive(self.published.filename, self.published.tgz_md5, self.published.url)]}

    def write_folders(self, log: Log) -> None:
        """Write the official files losslessly as ``<split>/<class>/NNNNN.png``, numbered in their order.

        A split whose folder exists is skipped.

        Raises:
            DataError: the official files are missing or damaged.
        """
        for split in self.expected.images:
            target = self.folder / split
            if target.is_dir():
                log(f"{self.name}: {target} already exists")
                continue
            try:
                data = self.published(str(self.folder), train=split == "train")
            except RuntimeError:
                raise DataError(f"{self.official} is incomplete or damaged; delete it and run this again") from None
            with temporary_folder(target) as folder:
                for name in data.classes:
                    (folder / name).mkdir()
                paths = [folder / data.classes[label] / f"{n:05d}.png" for n, label in enumerate(data.targets)]
                with ThreadPoolExecutor() as writers:
                    list(track(writers.map(_write_png, paths, data.data), f"writing {split}", len(paths)))
                folder.rename(target)
            log(f"{self.name}: {len(paths):,} images written to {target}")

    def check(self) -> CheckResult:
        from torchvision.datasets.utils import check_integrity

        folders = any((self.folder / split).is_dir() for split in self.expected.images)
        result = super().check() if folders else CheckResult(self.name)
        if self.official.is_dir():
            published = self.published
            files = [*published.train_list, *published.test_list, (published.meta["filename"], published.meta["md5"])]
            for name, md5 in files:
                if not check_integrity(self.official / name, md5):
                    result.errors.append(f"{self.official.name}/{name} is missing, damaged or not the published file")
            result.compare(self.expected.images, self.expected, self.expected.classes)
        elif not folders:
            result.errors.append(f"{self.folder} has neither {self.official.name}/ nor train/ and test/")
        return result


def _write_png(path: Path, image: Any) -> None:
    """Write an image, uint8 RGB (H, W, 3)."""
    import cv2

    if not cv2.imwrite(str(path), image[:, :, ::-1]):
        raise OSError(f"{path} cannot be written")
