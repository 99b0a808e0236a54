"""Images of one size, all of them in the memory of the device that trains."""

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
    """CIFAR-10 or CIFAR-100, or any image folder whose images have one size, held on the training device.

    A batch is one indexing of two tensors; nothing is done image by image. It goes with
    :class:`InMemoryClsDataPreprocessor`, which crops, flips and normalises there, and with
    ``collate_fn=dict(type='whole_batch')``, ``num_workers=0``, ``pin_memory=False``.

    Args:
        data_root: the folder that holds ``cifar-10-batches-py/`` or ``cifar-100-python/`` as the
            official archives unpack, or image files as ``<split>/<class>/*``. The official files
            are taken where both are there.
        split: ``'train'`` or ``'test'``.
        layout: ``'official'`` or ``'folder'``, to insist on one of them. Defaults to ``'auto'``.
        device: where the images lie. Defaults to the one that mmengine trains on.

    Raises:
        FileNotFoundError: the folder holds neither.
        ValueError: a file is not as wanted, or the images differ in size.

    Attributes:
        images: uint8 RGB (N, 3, H, W).
        labels: int64 (N,); folders are numbered by the alphabet, which is CIFAR's own order too.
        metainfo: ``classes``, the names in order.
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
        """A whole batch, which is what torch's loader asks for: ``inputs`` (N, 3, H, W), ``data_samples`` (N,)."""
        if self.device.type != "cpu" and get_worker_info() is not None:
            raise RuntimeError(
                f"a worker process asks for images on {self.device}; wanted num_workers=0 and "
                "persistent_workers=False in this dataloader: there is nothing to load"
            )
        places = torch.as_tensor(indices).to(self.device, non_blocking=True)
        return dict(inputs=self.images[places], data_samples=self.labels[places])


@FUNCTIONS.register_module()
def whole_batch(batch: Any) -> Any:
    """The collate function of :class:`InMemoryDataset`: batches pass, single samples are stacked."""
    return default_collate(batch) if isinstance(batch, list) else batch
