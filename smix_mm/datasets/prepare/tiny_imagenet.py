"""Tiny-ImageNet: 200 of ImageNet's classes at 64x64 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from ...utils.errors import DataError
from .archives import unpack
from .data_set import DataSet, Say, Verdict, check_folders, unpacking
from .download import Archive
from .imagenet import TERMS

ARCHIVE = "tiny-imagenet-200.zip"


class TinyImageNet(DataSet):
    """``tiny-imagenet`` in ``<root>/tiny-imagenet/{train,val}/<wnid>/``, as mmpretrain's ``CustomDataset`` reads it."""

    @property
    def folder(self) -> Path:
        return self.root / "tiny-imagenet"

    def wanted(self) -> list[Archive]:
        if self.folder.is_dir():
            return []
        by_hand = (
            f"its images are ImageNet's, whose terms of access have to be accepted by yourself: read {TERMS}, fetch "
            f"{ARCHIVE} from Stanford's course CS231n, put it there or name it with --from, and run this again"
        )
        return [Archive(ARCHIVE, by_hand=by_hand)]

    def unpack(self, archives: Mapping[str, Path], say: Say) -> None:
        (archive,) = archives.values()
        with unpacking(self.folder) as folder:
            unpack(archive, folder)
            unpacked = folder / "tiny-imagenet-200"
            if not (unpacked / "train").is_dir():
                raise DataError(f"{archive} has no tiny-imagenet-200/train/; wanted {ARCHIVE} as Stanford gives it out")
            _sort_val(archive, unpacked / "val")
            unpacked.rename(self.folder)

    def check(self) -> Verdict:
        verdict = Verdict(self.name)
        check_folders(verdict, self.folder, self.expected)
        return verdict


def _sort_val(archive: Path, val: Path) -> None:
    """Move the validation images from one folder into one a class."""
    try:
        lines = (val / "val_annotations.txt").read_text(encoding="utf-8").splitlines()
        for line in lines:
            name, wnid = line.split("\t")[:2]
            if "/" in name or not wnid.isalnum():
                raise ValueError(f"line {line!r}")
            (val / wnid).mkdir(exist_ok=True)
            (val / "images" / name).rename(val / wnid / name)
        (val / "images").rmdir()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{archive} does not say the class of every validation image ({error}); wanted {ARCHIVE} as Stanford "
            "gives it out"
        ) from None
