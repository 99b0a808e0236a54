"""ImageNet (ILSVRC 2012) from its official archives, which everybody has to fetch by hand."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path
from typing import IO, Iterable, Mapping

from ...utils.errors import DataError
from .archives import broken_is_said, open_members, safe_path, tar_members, write_member
from .data_set import DataSet, Say, Verdict, check_folders, unpacking
from .download import Archive

TERMS = "https://image-net.org/download"
_GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


class ImageNet(DataSet):
    """``imagenet`` in ``<root>/imagenet/{train,val}/<wnid>/``, as mmpretrain's ``ImageNet`` reads it."""

    @property
    def folder(self) -> Path:
        return self.root / "imagenet"

    def wanted(self) -> list[Archive]:
        from torchvision.datasets.imagenet import ARCHIVE_META

        parts = [] if (self.folder / "train").is_dir() else ["train"]
        parts += [] if (self.folder / "val").is_dir() else ["val", "devkit"]
        names = ", ".join(ARCHIVE_META[part][0] for part in parts)
        by_hand = f"ImageNet's terms of access have to be accepted by yourself: sign in at {TERMS}, fetch {names}, "
        by_hand += "put them there or name their folder with --from, and run this again"
        return [Archive(name, md5, by_hand=by_hand) for name, md5 in map(ARCHIVE_META.get, parts)]

    def unpack(self, archives: Mapping[str, Path], say: Say) -> None:
        of_part = {part: path for path in archives.values() for part in ("train", "val", "devkit") if part in path.name}
        if "train" in of_part:
            _unpack_train(of_part["train"], self.folder / "train")
            say(f"{self.name}: training images unpacked to {self.folder / 'train'}")
        if "val" in of_part:
            _unpack_val(of_part["val"], read_val_classes(of_part["devkit"]), self.folder / "val")
            say(f"{self.name}: validation images unpacked to {self.folder / 'val'}")

    def check(self) -> Verdict:
        verdict = Verdict(self.name)
        check_folders(verdict, self.folder, self.expected)
        return verdict


def _unpack_train(archive: Path, target: Path) -> None:
    """Unpack the archive of archives, one a class; a class that was unpacked before an interruption stays."""
    folder = target.with_name(".train.unpacking")
    folder.mkdir(parents=True, exist_ok=True)
    with open_members(archive) as members:
        for name, content in members:
            wnid = Path(name).stem
            if not re.fullmatch(r"n\d{8}\.tar", name):
                raise DataError(f"{archive} holds {name!r}; wanted one archive a class, such as n01440764.tar")
            if not (folder / wnid).is_dir():
                with unpacking(folder / wnid) as part:
                    _unpack_class(archive, content, part)
                    part.rename(folder / wnid)
    folder.rename(target)


def _unpack_class(archive: Path, content: IO[bytes], folder: Path) -> None:
    with broken_is_said(archive), tarfile.open(fileobj=content, mode="r:") as tar:
        for name, image in tar_members(archive, tar):
            write_member(image, safe_path(archive, name, folder))


def _unpack_val(archive: Path, classes: list[str], target: Path) -> None:
    """Unpack the validation images, each into the folder of its class, which the development kit knows."""
    seen = 0
    with unpacking(target) as folder:
        with open_members(archive) as members:
            for name, content in members:
                number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", Path(name).name)
                if number is None or not 0 < int(number[1]) <= len(classes):
                    raise DataError(f"{archive} holds {name!r}; wanted images ILSVRC2012_val_00000001.JPEG and on")
                write_member(content, safe_path(archive, Path(name).name, folder / classes[int(number[1]) - 1]))
                seen += 1
        if seen != len(classes):
            raise DataError(f"{archive} holds {seen} images, but the development kit has {len(classes)} labels")
        folder.rename(target)


def read_val_classes(devkit: Path) -> list[str]:
    """The WordNet number of every validation image, in order, from the official development kit.

    The ground truth has the kit's own class numbers; ``meta.mat`` says which WordNet number each of them is.

    Raises:
        DataError: the archive has not these two files, or they do not fit.
    """
    found = {}
    with open_members(devkit) as members:
        for name, content in members:
            if name.endswith(("data/meta.mat", _GROUND_TRUTH)):
                found[name.rsplit("/", 1)[1]] = content.read()
    try:
        wnids = _wnids(found["meta.mat"])
        numbers = found["ILSVRC2012_validation_ground_truth.txt"].split()
        return [wnids[int(number)] for number in numbers]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(
            f"{devkit} does not say the classes of the validation images ({type(error).__name__}: {error}); wanted "
            f"the official one, with data/meta.mat and {_GROUND_TRUTH}"
        ) from None


def _wnids(meta: bytes) -> dict[int, str]:
    from scipy.io import loadmat

    synsets: Iterable = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    # The rest are groups of classes, such as "animal".
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
