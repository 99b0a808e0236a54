"""CIFAR, and ImageNet (ILSVRC 2012) and Tiny-ImageNet, whose archives users have to download by hand."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import IO, Any, cast

from ...utils.errors import DataError
from ..folders import temporary_folder
from .archives import Archive, extract_tar, open_archive
from .data_set import CheckResult, DataSet

TERMS = "https://image-net.org/download"
_TINY = "tiny-imagenet-200.zip"


class Cifar(DataSet):
    """``cifar10`` or ``cifar100``, in ``<root>/<name>/`` as torchvision and mmpretrain read it."""

    @property
    def published(self) -> Any:
        """torchvision's class, which has the address and the checksums."""
        from torchvision import datasets

        return getattr(datasets, self.name.upper())

    def parts(self) -> dict[Path, list[Archive]]:
        published = self.published
        archive = Archive(published.filename, published.tgz_md5, published.url)
        return {self.folder / published.base_folder: [archive]}

    def check(self) -> CheckResult:
        from torchvision.datasets.utils import check_integrity

        (official,), published = self.parts(), self.published
        folders = any((self.folder / split).is_dir() for split in self.expected.images)
        result = super().check() if folders else CheckResult(self.name)
        if official.is_dir():
            files = [*published.train_list, *published.test_list, (published.meta["filename"], published.meta["md5"])]
            for name, md5 in files:
                if not check_integrity(official / name, md5):
                    result.errors.append(f"{official.name}/{name} is missing, damaged or not the published file")
            result.compare(self.expected.images, self.expected, self.expected.classes)
        elif not folders:
            result.errors.append(f"{self.folder} has neither {official.name}/ nor train/ and test/")
        return result


class ImageNet(DataSet):
    """``imagenet`` in ``<root>/imagenet/{train,val}/<wnid>/``, as mmpretrain's ``ImageNet`` reads it."""

    def parts(self) -> dict[Path, list[Archive]]:
        from torchvision.datasets.imagenet import ARCHIVE_META

        of_split = dict(train=["train"], val=["val", "devkit"])
        parts = {self.folder / split: names for split, names in of_split.items() if not (self.folder / split).is_dir()}
        names = ", ".join(ARCHIVE_META[name][0] for each in parts.values() for name in each)
        by_hand = f"you have to accept ImageNet's terms of access yourself: sign in at {TERMS}, download {names}, "
        by_hand += "put them there or name their folder with --from, and run this again"
        return {
            folder: [Archive(file, md5, by_hand=by_hand) for file, md5 in map(ARCHIVE_META.__getitem__, each)]
            for folder, each in parts.items()
        }

    def create(self, target: Path, archives: list[Path]) -> None:
        if target.name == "train":
            _extract_train(archives[0], target)
        else:
            _extract_val(archives[0], archives[1], target)


def _extract_train(archive: Path, target: Path) -> None:
    """Extract the archive of one archive per class; complete classes of an interrupted extraction are skipped.

    ``torchvision.datasets.imagenet.parse_train_archive`` would start from the beginning, and needs twice the space.
    """
    folder = target.with_name(".train.unpacking")
    folder.mkdir(parents=True, exist_ok=True)
    with open_archive(archive) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            if not member.isreg() or not re.fullmatch(r"n\d{8}\.tar", member.name):
                raise DataError(
                    f"{archive} should hold one archive per class, such as n01440764.tar, got {member.name!r}"
                )
            wnid = Path(member.name).stem
            if not (folder / wnid).is_dir():
                with temporary_folder(folder / wnid) as part:
                    _extract_class(cast(IO[bytes], tar.extractfile(member)), part)
                    part.rename(folder / wnid)
    folder.rename(target)


def _extract_class(content: IO[bytes], folder: Path) -> None:
    with tarfile.open(fileobj=content, mode="r:") as tar:
        extract_tar(tar, folder)


def _extract_val(archive: Path, devkit: Path, target: Path) -> None:
    """Extract the validation images into class folders, which the development kit lists."""
    from torchvision.datasets.imagenet import load_meta_file, parse_devkit_archive, parse_val_archive

    # torchvision joins these paths to the folder; it verifies the MD5 again, so the archives are the official ones.
    archive, devkit = archive.absolute(), devkit.absolute()
    with temporary_folder(target) as folder:
        try:
            parse_devkit_archive(folder, str(devkit))
            wnids = load_meta_file(folder)[1]
            parse_val_archive(folder, str(archive), wnids, "val")
        except (tarfile.TarError, OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(f"{archive} and {devkit} cannot be read ({reason}); download them again") from None
        images = sum(1 for _ in (folder / "val").glob("*/*"))
        if images != len(wnids):
            raise DataError(f"{archive} has {images} images, but {devkit} has {len(wnids)} labels; download them again")
        (folder / "val").rename(target)


class TinyImageNet(DataSet):
    """Tiny-ImageNet, 200 classes at 64x64 pixels, in ``<root>/tiny-imagenet/{train,val}/<wnid>/``, as mmpretrain's
    ``CustomDataset`` reads it.
    """

    def parts(self) -> dict[Path, list[Archive]]:
        by_hand = (
            f"you have to accept ImageNet's terms of access yourself, because its images are ImageNet's: read {TERMS}, "
            f"download {_TINY} from Stanford's course CS231n, put it there or name it with --from, and run this again"
        )
        return {self.folder: [Archive(_TINY, by_hand=by_hand)]}

    def extracted(self, work: Path, target: Path) -> Path:
        folder = work / "tiny-imagenet-200"
        try:
            _sort_val(folder / "val")
            if not (folder / "train").is_dir():
                raise ValueError("no tiny-imagenet-200/train/")
        except (OSError, ValueError) as error:
            raise DataError(f"the archive should be Stanford's {_TINY}, but cannot be read ({error})") from None
        return folder


def _sort_val(val: Path) -> None:
    """Move the validation images from ``images/`` into class folders, as ``val_annotations.txt`` lists them."""
    for line in (val / "val_annotations.txt").read_text(encoding="utf-8").splitlines():
        name, wnid = line.split("\t")[:2]
        if "/" in name or not wnid.isalnum():
            raise ValueError(f"line {line!r} of val_annotations.txt")
        (val / wnid).mkdir(exist_ok=True)
        (val / "images" / name).rename(val / wnid / name)
    (val / "images").rmdir()  # fails if an image has no line
