"""The data sets of the configs: downloaded where their terms allow it, extracted, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

from ...utils.errors import UsageError
from .classification import Cifar, ImageNet, TinyImageNet
from .data_set import EXPECTED, CheckResult, DataSet, Log
from .detection import Coco, Voc
from .pack import QUALITY, SHORT_SIDE, check_options, check_packed, pack
from .released import ReleasedBackbones

DATA_SETS: dict[str, Callable[[str, Path], DataSet | ReleasedBackbones]] = {
    "cifar10": Cifar,
    "cifar100": Cifar,
    "tiny-imagenet": TinyImageNet,
    "imagenet": ImageNet,
    "voc2007": Voc,
    "voc2012": Voc,
    "coco": Coco,
    "released-backbones": ReleasedBackbones,
}


def prepare_data(
    name: str,
    root: str | Path = "data",
    *,
    sources: Sequence[str | Path] = (),
    log: Log = print,
) -> Path:
    """Put a data set where the configs look for it, and return its folder.

    Downloaded archives stay in ``<root>/downloads``. Existing folders are not touched. Interrupted work is resumed:
    a download in the middle of the file, if the server supports this, and ImageNet's training images after the
    last complete class. A folder appears under its name when it is complete.

    Args:
        name: a key of :data:`DATA_SETS`.
        root: the folder of all data sets.
        sources: archives, or folders of archives with their official names, to use instead of a download.
        log: called with messages about what was done.

    Raises:
        UsageError: an unknown data set, or a source that does not exist.
        DataError: an archive is damaged, not safe to extract, or cannot be downloaded.
        CheckpointError: a released backbone is missing or not the expected one.
    """
    data_set = _data_set(name, root)
    paths = [Path(source) for source in sources]
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; give an archive of {name}, or a folder with it")
    data_set.prepare(paths, log)
    return data_set.folder


def pack_data(
    name: str, root: str | Path = "data", *, short_side: int = SHORT_SIDE, quality: int = QUALITY, log: Log = print
) -> Path:
    """Pack ``<root>/<name>/<split>/<class>/`` into ``<root>/<name>-packed/``: one LMDB for each split, smaller images.

    Interrupted work is resumed. A finished folder is not touched, and the images stay where they are. Returns the
    packed folder.

    Args:
        name, root, log: as for :func:`prepare_data`; ``'imagenet'`` or ``'tiny-imagenet'``.
        short_side: of the packed images, pixels; smaller JPEGs are stored as they are. Defaults to 256.
        quality: of the JPEGs, 1 to 100. Defaults to 95.

    Raises:
        UsageError: another data set, an argument is out of range, or the interrupted work had other options.
        DataError: an image or the whole data set cannot be read.
        PackageError: lmdb is not installed.
    """
    check_packing(name, short_side, quality)
    data_set, target = _data_set(name, root), _packed(name, root)
    if target.is_dir():
        log(f"{name}: {target} already exists")
    else:
        pack(data_set.folder, target, list(EXPECTED[name].images), short_side, quality, log)
        log(f"{name}: ready in {target}")
    return target


def check_packing(name: str, short_side: int = SHORT_SIDE, quality: int = QUALITY) -> None:
    """Refuse what :func:`pack_data` refuses, before a data set is downloaded for it."""
    if name not in ("imagenet", "tiny-imagenet"):
        raise UsageError(f"only imagenet and tiny-imagenet can be packed, got {name}")
    check_options(short_side, quality)


def check_prepared(name: str, root: str | Path = "data", *, packed: bool = False) -> CheckResult:
    """Count the images and classes of a data set, as :func:`prepare_data` names it, and open every image.

    With ``packed``, check what :func:`pack_data` wrote instead: every record against its CRC-32.
    """
    if not packed:
        return _data_set(name, root).check()
    check_packing(name)
    return check_packed(name, _packed(name, root), EXPECTED[name])


def _packed(name: str, root: str | Path) -> Path:
    return Path(root) / f"{name}-packed"


def _data_set(name: str, root: str | Path) -> DataSet | ReleasedBackbones:
    if name not in DATA_SETS:
        raise UsageError(f"data set should be one of {', '.join(DATA_SETS)}, got {name!r}")
    return DATA_SETS[name](name, Path(root))


__all__ = ["DATA_SETS", "EXPECTED", "CheckResult", "DataSet", "check_prepared", "pack_data", "prepare_data"]
