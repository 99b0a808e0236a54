"""The data sets of the configs: fetched where their terms allow it, unpacked, and checked."""

from __future__ import annotations

import argparse
import sys
from functools import partial
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

EXAMPLES = """examples:
  python tools/prepare_data.py cifar10 --check
  python tools/prepare_data.py cifar100 --as-folder
  python tools/prepare_data.py voc2007 --root /data --from VOCtrainval_06-Nov-2007.tar VOCtest_06-Nov-2007.tar
  python tools/prepare_data.py imagenet --from /folder/of/the/three/archives --check
"""


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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of :func:`prepare_data` and :func:`check_prepared`."""
    parser = argparse.ArgumentParser(
        prog="prepare_data.py",
        description="Fetch a data set where its terms allow it, unpack it where the configs look for it, and check it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=list(DATA_SETS), help="which data set")
    parser.add_argument("--root", default="data", help="folder of all data sets (default: data)")
    parser.add_argument("--check", action="store_true", help="then count files and classes and open every image")
    parser.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        default=[],
        metavar="ARCHIVE",
        help="archives, or a folder of them, that you have already",
    )
    parser.add_argument("--as-folder", action="store_true", help="CIFAR: write the images as PNG files too")
    options = parser.parse_args(arguments)
    try:
        prepare_data(
            options.name,
            options.root,
            sources=options.sources,
            as_folder=options.as_folder,
            say=partial(print, flush=True),
        )
        if not options.check:
            return 0
        verdict = check_prepared(options.name, options.root)
    except (ValueError, OSError, ImportError) as error:
        print(f"prepare_data.py: {error}", file=sys.stderr)
        wrong_use = isinstance(error, (FileNotFoundError, ImportError)) or type(error) is ValueError
        return 2 if wrong_use else 1
    print(verdict.line())
    return 0 if verdict.whole else 1


__all__ = ["DATA_SETS", "EXPECTED", "DataError", "DataSet", "Verdict", "check_prepared", "main", "prepare_data"]
