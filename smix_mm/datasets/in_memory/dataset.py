"""A dataset of images of one size in the memory of the training device."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.registry import FUNCTIONS
from mmpretrain.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info

from ...models import label_batch  # noqa: F401  (registers)
from ...utils.choices import check_option
from ..check.listing import list_samples
from ..check.splits import Split

Images = Tuple[np.ndarray, np.ndarray, Tuple[str, ...]]


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


@DATASETS.register_module()
class InMemoryDataset(Dataset):
    """CIFAR-10, CIFAR-100, or an image folder whose images have one size, on the training device.

    A batch is one indexing of two tensors; nothing is done per image. Use it with
    :class:`InMemoryClsDataPreprocessor`, which crops, flips and normalises on the device, and with
    ``collate_fn=dict(type='whole_batch')``, ``num_workers=0``, ``pin_memory=False``.

    Args:
        data_root: the folder with ``cifar-10-batches-py/`` or ``cifar-100-python/`` from the official archive,
            or with image files as ``<split>/<class>/*``. If both exist, the official files are read.
        split: ``'train'`` or ``'test'``.
        device: the device of the images. Defaults to the one on which mmengine trains.

    Raises:
        FileNotFoundError: the folder has neither.
        ValueError: a file is damaged, or the images differ in size.

    Attributes:
        images: uint8 RGB (N, 3, H, W).
        labels: int64 (N,); class folders are numbered alphabetically, which is also CIFAR's order.
        metainfo: ``classes``, the class names in order.
    """

    def __init__(self, data_root: str | Path, split: str = "train", device: str | None = None) -> None:
        images, labels, classes = read_split(data_root, split)
        self.device = torch.device(device or get_device())
        self.images = torch.from_numpy(images).to(self.device)
        self.labels = torch.from_numpy(labels).to(self.device)
        self.metainfo: dict[str, Any] = dict(classes=classes)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sample: ``inputs``, uint8 RGB (3, H, W), and ``data_samples``, its class number, int64 ()."""
        return dict(inputs=self.images[index], data_samples=self.labels[index])

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """A whole batch, called by torch's data loader.

        Returns:
            ``inputs``, uint8 RGB (N, 3, H, W), ``data_samples``, int64 (N,), and, on the CPU, ``places``, int64 (N,):
            the indices.
        """
        if self.device.type != "cpu" and get_worker_info() is not None:
            raise RuntimeError(
                f"the dataloader of images on {self.device} should have num_workers=0 and "
                "persistent_workers=False, got worker processes"
            )
        places = torch.as_tensor(indices)
        chosen = places.to(self.device, non_blocking=True)
        return dict(inputs=self.images[chosen], data_samples=self.labels[chosen], places=places)


@FUNCTIONS.register_module()
def whole_batch(batch: Any) -> Any:
    """The collate function of :class:`InMemoryDataset`: batches pass unchanged, single samples are stacked."""
    return default_collate(batch) if isinstance(batch, list) else batch


def read_split(data_root: str | Path, split: str) -> Images:
    """Read a split into memory; arguments and errors as for ``InMemoryDataset``.

    Returns:
        Images, uint8 RGB (N, 3, H, W); labels, int64 (N,); names of the classes.
    """
    check_option("split", split, ("train", "test"))
    root = Path(data_root)
    for files in (CIFAR10, CIFAR100):
        folder = root / files.folder
        if folder.is_dir():
            classes = tuple(_entry(folder / files.meta, files.names))
            parts = [_read_batch(folder / name, files.labels, len(classes)) for name in getattr(files, split)]
            images, labels = (np.concatenate(each) for each in zip(*parts))
            return images, labels, classes
    if (root / split).is_dir():
        return _read_folder(root / split)
    expected = f"{CIFAR10.folder}/, {CIFAR100.folder}/ or {split}/<class>/"
    raise FileNotFoundError(f"{root} should contain {expected}; tools/prepare_data.py downloads CIFAR")


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


def _read_folder(folder: Path) -> Images:
    """Read ``<class>/*``, decoded as by mmpretrain's ``LoadImageFromFile``."""
    listing = list_samples(Split(("train",), "folders", "", "", str(folder), in_memory=True))
    for one in listing.findings:
        if one.kind in ("empty-split", "class-folders"):
            raise ValueError(f"{one.file} {one.detail}")
    paths = [sample.image for sample in listing.samples]
    with ThreadPoolExecutor() as readers:
        images = list(readers.map(_read_image, paths))
    for path, image in zip(paths, images):
        if image.shape != images[0].shape:
            raise ValueError(
                f"images should have one size, got {image.shape[2]}x{image.shape[1]} pixels in {path} and "
                f"{images[0].shape[2]}x{images[0].shape[1]} in {paths[0]}"
            )
    return np.stack(images), np.array(listing.labels(), np.int64), listing.folders


def _read_image(path: str) -> np.ndarray:
    import cv2

    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return image[:, :, ::-1].transpose(2, 0, 1)
