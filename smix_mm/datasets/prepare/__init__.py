"""The data sets of the configs: fetched where their terms allow it, unpacked, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

from ...utils.errors import DataError
from .cifar import Cifar
from .data_set import EXPECTED, DataSet, Say, Verdict
from .download import get_archive
from .imagenet import ImageNet
from .tiny_imagenet import TinyImageNet
from .voc import Voc

DATA_SETS: dict[str, Callable[[str, Path], DataSet]] = {
    "cifar10": Cifar,
    "cifar100": Cifar,
    "tiny-imagenet": TinyImageNet,
    "imagenet": ImageNet,
    "voc2007": Voc,
    "voc2012": Voc,
}


def prepare_data(
    name: str,
    root: str | Path = "data",
    *,
    sources: Sequence[str | Path] = (),
    as_folder: bool = False,
    say: Say = print,
) -> Path:
    """Put a data set where the configs look for it.

    Fetched archives stay in ``<root>/downloads``. What is there already is left alone, and what was
    interrupted goes on: a transfer within the file, where the server can, and ImageNet class by class. A
    folder appears under its name only when it is whole.

    Args:
        name: one of :data:`DATA_SETS`.
        root: the folder of all data sets.
        sources: archives, or folders that hold them under their official names, to use instead of fetching.
        as_folder: for CIFAR, write the images as ``{train,test}/<class>/NNNNN.png`` too, without loss.
        say: is told what was done.

    Returns:
        The data set's folder.

    Raises:
        ValueError: there is no such data set, or ``as_folder`` is not for it.
        FileNotFoundError: a source is not there.
        DataError: an archive cannot be had, is broken, or is not safe to unpack.
    """
    data_set = _named(name, root)
    if as_folder and not isinstance(data_set, Cifar):
        raise ValueError(f"as_folder was asked for {name}, which has image files already; wanted it for CIFAR alone")
    paths = [Path(source) for source in sources]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; wanted an archive of {name}, or a folder that holds it")
    wanted = data_set.wanted()
    if wanted:
        downloads = data_set.root / "downloads"
        archives = {archive.name: get_archive(archive, paths, downloads, alone=len(wanted) == 1) for archive in wanted}
        data_set.unpack(archives, say)
        say(f"{name}: ready in {data_set.folder}")
    else:
        say(f"{name}: {data_set.folder} is there already")
    if isinstance(data_set, Cifar) and as_folder:
        data_set.write_folders(say)
    return data_set.folder


def check_prepared(name: str, root: str | Path = "data") -> Verdict:
    """Count the files and classes of a data set under ``root``, and open every image.

    Raises:
        ValueError: there is no such data set.
    """
    return _named(name, root).check()


def _named(name: str, root: str | Path) -> DataSet:
    if name not in DATA_SETS:
        raise ValueError(f"data set is {name!r}; wanted one of {', '.join(DATA_SETS)}")
    return DATA_SETS[name](name, Path(root))


__all__ = ["DATA_SETS", "EXPECTED", "DataError", "DataSet", "Verdict", "check_prepared", "prepare_data"]
