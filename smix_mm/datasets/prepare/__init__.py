"""The data sets of the configs: downloaded where their terms allow it, extracted, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

from ...utils.errors import UsageError
from .cifar import Cifar
from .coco import Coco
from .data_set import EXPECTED, CheckResult, DataSet, Log
from .imagenet import ImageNet, TinyImageNet
from .released import ReleasedBackbones
from .voc import Voc

DATA_SETS: dict[str, Callable[[str, Path], DataSet]] = {
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
    as_folder: bool = False,
    log: Log = print,
) -> Path:
    """Put a data set where the configs look for it.

    Downloaded archives stay in ``<root>/downloads``. Existing folders are not touched. Interrupted work is resumed:
    a download in the middle of the file, if the server supports this, and ImageNet's training images after the
    last complete class. A folder appears under its name when it is complete.

    Args:
        name: a key of :data:`DATA_SETS`.
        root: the folder of all data sets.
        sources: archives, or folders of archives with their official names, to use instead of a download.
        as_folder: for CIFAR, also write the images losslessly as ``{train,test}/<class>/NNNNN.png``.
        log: called with messages about what was done.

    Returns:
        The folder of the data set.

    Raises:
        UsageError: an unknown data set, ``as_folder`` for another data set than CIFAR, or a source that does not exist.
        DataError: an archive is damaged, not safe to extract, or cannot be downloaded.
        CheckpointError: a released backbone is missing or not the expected one.
    """
    data_set = _data_set(name, root)
    if as_folder and not isinstance(data_set, Cifar):
        raise UsageError(f"as_folder should only be used for CIFAR, got {name}, which has image files already")
    paths = [Path(source) for source in sources]
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; give an archive of {name}, or a folder with it")
    data_set.prepare(paths, log)
    if isinstance(data_set, Cifar) and as_folder:
        data_set.write_folders(log)
    return data_set.folder


def check_prepared(name: str, root: str | Path = "data") -> CheckResult:
    """Count the files and classes of a data set under ``root``, and open every image.

    Raises:
        UsageError: an unknown data set.
    """
    return _data_set(name, root).check()


def _data_set(name: str, root: str | Path) -> DataSet:
    if name not in DATA_SETS:
        raise UsageError(f"data set should be one of {', '.join(DATA_SETS)}, got {name!r}")
    return DATA_SETS[name](name, Path(root))


__all__ = ["DATA_SETS", "EXPECTED", "CheckResult", "DataSet", "check_prepared", "prepare_data"]
