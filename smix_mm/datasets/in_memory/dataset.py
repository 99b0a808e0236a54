"""A dataset of images of one size in the memory of the training device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import torch
from mmengine.device import get_device
from mmengine.registry import FUNCTIONS
from mmpretrain.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info

from ...models import label_batch  # noqa: F401  (registers)
from .reading import read_split


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
        layout: ``'official'`` or ``'folder'``, to read only this layout. Defaults to ``'auto'``.
        device: the device of the images. Defaults to the one on which mmengine trains.

    Raises:
        FileNotFoundError: the folder has neither.
        ValueError: a file is damaged, or the images differ in size.

    Attributes:
        images: uint8 RGB (N, 3, H, W).
        labels: int64 (N,); class folders are numbered alphabetically, which is also CIFAR's order.
        metainfo: ``classes``, the class names in order.
    """

    def __init__(
        self, data_root: str | Path, split: str = "train", layout: str = "auto", device: str | None = None
    ) -> None:
        images, labels, classes = read_split(data_root, split, layout)
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
