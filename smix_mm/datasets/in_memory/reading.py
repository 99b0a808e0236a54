"""Read all images of a split into memory: CIFAR's official files, or an image folder."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Tuple

import numpy as np

from ...utils.choices import check_option

Split = Tuple[np.ndarray, np.ndarray, Tuple[str, ...]]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")


class OfficialFiles(NamedTuple):
    """Names in a CIFAR archive (https://www.cs.toronto.edu/~kriz/cifar.html); the last two are keys in its files."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    names: str
    labels: str


BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10 = OfficialFiles("cifar-10-batches-py", BATCHES, ("test_batch",), "batches.meta", "label_names", "labels")
CIFAR100 = OfficialFiles("cifar-100-python", ("train",), ("test",), "meta", "fine_label_names", "fine_labels")


def read_split(data_root: str | Path, split: str, layout: str = "auto") -> Split:
    """Read a split into memory; arguments and errors as for ``InMemoryDataset``.

    Returns:
        Images, uint8 RGB (N, 3, H, W); labels, int64 (N,); names of the classes.
    """
    check_option("split", split, ("train", "test"))
    check_option("layout", layout, ("auto", "official", "folder"))
    root = Path(data_root)
    if layout != "folder":
        for files in (CIFAR10, CIFAR100):
            if (root / files.folder).is_dir():
                return read_official(root, files, split)
    if layout != "official" and (root / split).is_dir():
        return read_folder(root / split)
    expected = {
        "auto": f"{CIFAR10.folder}/, {CIFAR100.folder}/ or {split}/<class>/",
        "official": f"{CIFAR10.folder}/ or {CIFAR100.folder}/",
        "folder": f"{split}/<class>/",
    }
    raise FileNotFoundError(f"{root} should contain {expected[layout]}; tools/prepare_data.py downloads CIFAR")


def read_official(root: Path, files: OfficialFiles, split: str) -> Split:
    folder = root / files.folder
    classes = tuple(_entry(folder / files.meta, files.names))
    parts = [_read_batch(folder / name, files.labels, len(classes)) for name in getattr(files, split)]
    images, labels = (np.concatenate(each) for each in zip(*parts))
    return images, labels, classes


def _read_batch(path: Path, key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _entry(path, "data"), np.asarray(_entry(path, key))
    fits = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == (3072,)
    if not fits or labels.shape != images.shape[:1] or labels.dtype.kind != "i":
        raise ValueError(f"{path} is not a file of CIFAR; expected uint8 images (N, 3072) and N class numbers")
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{path} is not a file of CIFAR; expected class numbers from 0 to {classes - 1}")
    return images.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _entry(path: Path, key: str) -> Any:
    try:
        with open(path, "rb") as file:
            return _ArrayUnpickler(file, encoding="latin1").load()[key]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing; extract the official archive again") from None
    except (pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or not a file of CIFAR ({type(error).__name__}: {error})") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays and plain values only: the official files are pickles, and a pickle can run code."""

    _ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

    def find_class(self, module: str, name: str) -> Any:
        if module in self._ARRAY_MODULES and name == "_reconstruct":
            # Its module was renamed in numpy 2; every array refers to it.
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def read_folder(folder: Path) -> Split:
    """Read ``<class>/*``, decoded as by mmpretrain's ``LoadImageFromFile``."""
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    paths, labels = [], []
    for number, name in enumerate(classes):
        found = sorted(path for path in (folder / name).rglob("[!.]*") if path.suffix.lower() in EXTENSIONS)
        if not found:
            raise ValueError(f"{folder / name} should contain at least one image")
        paths += found
        labels += [number] * len(found)
    if not paths:
        raise FileNotFoundError(f"{folder} contains no class folder with images")
    with ThreadPoolExecutor() as readers:
        images = list(readers.map(_read_image, paths))
    for path, image in zip(paths, images):
        if image.shape != images[0].shape:
            raise ValueError(
                f"images should have one size, got {image.shape[2]}x{image.shape[1]} pixels in {path} and "
                f"{images[0].shape[2]}x{images[0].shape[1]} in {paths[0]}"
            )
    return np.stack(images), np.array(labels, np.int64), classes


def _read_image(path: Path) -> np.ndarray:
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return image[:, :, ::-1].transpose(2, 0, 1)
