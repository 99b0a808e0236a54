"""Crop, flip and normalise whole batches on the training device."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from torch import Tensor

from ...batch_augments.saliency_mix import SaliencyMix, ShuffledSaliencyMix
from ...mixing.plan import own_generator
from ...models.label_batch import LabelBatch
from ...saliency import SaliencyDetector

# Separates the draws from those of a batch augmentation with the same seed and rank.
STREAM = 1


def draw_crops(number: int, padding: int, flip_prob: float, generator: torch.Generator) -> Tensor:
    """Draw where to crop and whether to flip; for the arguments see :class:`InMemoryClsDataPreprocessor`.

    Returns:
        int64 (number, 3) on the CPU: the crop's top and left in the padded image, each uniform in
        0 to ``2 * padding`` inclusive, and 1 for a flip, else 0.
    """
    corners = torch.randint(2 * padding + 1, (number, 2), generator=generator)
    flips = torch.rand(number, 1, generator=generator) < flip_prob
    return torch.cat([corners, flips.long()], dim=1)


def crop_and_flip(images: Tensor, crops: Tensor, padding: int, value: float | None = 0) -> Tensor:
    """Pad images, crop each to its former size, and flip some horizontally.

    Args:
        images: (N, C, H, W), any dtype.
        crops: int64 (N, 3) on the same device, from :func:`draw_crops`.
        padding: pixels on each side.
        value: of the padding; None to reflect the image, without repeating its edge. Defaults to 0.

    Returns:
        (N, C, H, W), a new tensor, ``channels_last`` in memory.
    """
    number, _, height, width = images.shape
    top, left, flip = crops.view(number, 3, 1).unbind(1)
    rows = top + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    columns = left + torch.where(flip.bool(), width - 1 - columns, columns)
    sample = torch.arange(number, device=images.device).view(number, 1, 1)
    if value is None:  # torch reflects floats only
        padded = F.pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    else:
        padded = F.pad(images, (padding,) * 4, value=value)
    # Index tensors around a slice put the channels last: channels_last in memory.
    return padded[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class MapCache:
    """Computes the map of an image when the image first occurs, and keeps it on the image's device.

    Each image is given to the detector alone, so that its map does not depend on the batch in which it first occurs,
    and a resumed training, which computes the maps anew, has the same ones. Memory: 4 bytes a pixel, 205 MB for
    CIFAR's 50,000 images.
    """

    def __init__(self, detector: SaliencyDetector) -> None:
        self.detector = detector
        self.known = torch.zeros(0, dtype=torch.bool)
        self.maps = torch.zeros(0)

    def __call__(self, images: Tensor, places: Tensor) -> Tensor:
        """The maps of a batch, float32 (N, H, W), without waiting for a GPU.

        Args:
            images: uint8 RGB (N, 3, H, W), all batches of one size and on one device.
            places: int64 (N,), on the CPU: the images' places in the data set.
        """
        missing = int(places.max()) + 1 - len(self.known) if len(places) else 0
        if missing > 0:
            self.known = torch.cat([self.known, self.known.new_zeros(missing)])
            more = torch.zeros((missing, *images.shape[2:]), device=images.device)
            self.maps = torch.cat([self.maps, more]) if len(self.maps) else more
        unknown = (~self.known[places]).nonzero().flatten()
        if len(unknown):
            own = images[unknown.to(images.device, non_blocking=True)]
            maps = torch.cat([self.detector(image[None]) for image in own])
            self.maps[places[unknown].to(images.device, non_blocking=True)] = maps
            self.known[places[unknown]] = True
        return self.maps[places.to(images.device, non_blocking=True)]


@MODELS.register_module()
class InMemoryClsDataPreprocessor(ClsDataPreprocessor):
    """The data preprocessor of :class:`InMemoryDataset`: a batch stays a tensor from the dataset to the loss.

    In training it pads, crops and flips every image at random, as ``RandomCrop(crop_size, padding)`` and
    ``RandomFlip`` in a dataset's pipeline do for one image at a time; then it normalises and applies the batch
    augmentations, as ``ClsDataPreprocessor`` does. For the same draws, the result is bit-identical to that of the
    pipeline.

    Args:
        mean, std: mean and standard deviation of the pixels in RGB order, three numbers each, on the scale 0 to 255.
        num_classes: number of classes.
        padding: pixels of zeros on each side before the crop; 0 for no crop. Defaults to 4.
        flip_prob: probability of a horizontal flip. Defaults to 0.5.
        to_onehot: return one-hot scores even without batch augmentations. Defaults to False.
        batch_augments: as in ``ClsDataPreprocessor``.
        saliency_before_crop: whether ``SaliencyMix`` and ``ShuffledSaliencyMix`` take the map of the image before the
            crop, which is then cropped and flipped with the image; a pixel of black padding is neither the most nor
            the least salient one. Otherwise they take the map of the crop. All random numbers are the same. Each map
            is computed once, see :class:`MapCache`. Defaults to False.

    Raises:
        ValueError: ``padding`` or ``flip_prob`` is out of range, or ``saliency_before_crop`` is set but none of the
            batch augmentations reads a map.

    Attributes:
        generator: the CPU generator of crops and flips, seeded at the first batch from
            ``torch.initial_seed()`` and the rank; None before that.
        last_crops: crops and flips of the last batch; None if it was not cropped.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        num_classes: int,
        padding: int = 4,
        flip_prob: float = 0.5,
        to_onehot: bool = False,
        batch_augments: dict[str, Any] | None = None,
        saliency_before_crop: bool = False,
    ) -> None:
        if padding < 0:
            raise ValueError(f"padding should be at least 0, got {padding}.")
        if not 0 <= flip_prob <= 1:
            raise ValueError(f"flip_prob should be between 0 and 1, got {flip_prob}.")
        super().__init__(
            mean=mean, std=std, to_onehot=to_onehot, num_classes=num_classes, batch_augments=batch_augments
        )
        self.padding = padding
        self.flip_prob = flip_prob
        self.generator: torch.Generator | None = None
        self.last_crops: Tensor | None = None
        augments = self.batch_augments.augments if self.batch_augments else ()
        # Without the option there is no cache, so every augmentation gets its maps from the crops.
        self.caches = {one: MapCache(one.detector) for one in augments if saliency_before_crop and takes_maps(one)}
        if saliency_before_crop and not self.caches:
            raise ValueError(
                "batch_augments should have SaliencyMix or ShuffledSaliencyMix with saliency_before_crop=True, got "
                "none that reads a saliency map; add one, or remove saliency_before_crop"
            )

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Augment and normalise a batch.

        Args:
            data: ``inputs``, uint8 RGB (N, 3, H, W); ``data_samples``, class numbers int64 (N,), which may be
                missing; and, for ``saliency_before_crop``, ``places``, int64 (N,).
            training: whether to crop, flip and apply the batch augmentations.

        Returns:
            ``inputs``, float32 (N, 3, H, W), ``channels_last`` in memory, and ``data_samples``, a
            :class:`LabelBatch`, or None without labels.

        Raises:
            TypeError: the batch is not from :class:`InMemoryDataset`.
        """
        images, labels = self.cast_data(data["inputs"]), self.cast_data(data.get("data_samples"))
        fits = isinstance(images, Tensor) and images.dtype == torch.uint8 and images.dim() == 4
        if not fits or not isinstance(labels, (Tensor, type(None))):
            given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(
                "inputs should be a uint8 tensor (N, 3, H, W) and data_samples a tensor of labels, got inputs "
                f"{given} and data_samples {type(labels).__name__}; use InMemoryDataset and "
                "collate_fn=dict(type='whole_batch')"
            )
        crops = None
        if training and (self.padding or self.flip_prob):
            crops = self.draw_crops(len(images)).to(images.device, non_blocking=True)
        self.last_crops = crops
        inputs, scores = self.augment(images, labels, crops)
        if labels is None:
            return dict(inputs=inputs, data_samples=None)
        augment: Any = self.pick_augment() if training else None
        maps = self.maps(augment, data)
        if maps is not None:
            inputs, scores = augment.mix(inputs, scores, self.crop_maps(maps, crops))
        elif augment is not None:
            inputs, scores = augment(inputs, scores)
        return dict(inputs=inputs, data_samples=LabelBatch(labels, scores))

    def draw_crops(self, number: int) -> Tensor:
        """Draw the crops and flips of the next batch, see :func:`draw_crops`."""
        if self.generator is None:
            self.generator = own_generator(STREAM)
        return draw_crops(number, self.padding, self.flip_prob, self.generator)

    def pick_augment(self) -> Any:
        """The batch augmentation of the next batch, or None, picked as mmpretrain does."""
        wrapper = self.batch_augments
        return wrapper.augments[np.random.choice(len(wrapper.augments), p=wrapper.probs)] if wrapper else None

    def maps(self, augment: Any, data: Mapping[str, Any]) -> Tensor | None:
        """The maps of the images before the crop, float32 (N, H, W), if ``augment`` takes these; else None."""
        cache = self.caches.get(augment)
        if cache is None:
            return None
        if not isinstance(data.get("places"), Tensor):
            raise TypeError(
                "a batch should have places for saliency_before_crop, got none; use InMemoryDataset, not wrapped in "
                "another dataset, and collate_fn=dict(type='whole_batch')"
            )
        return cache(self.cast_data(data["inputs"]), data["places"].cpu())

    def crop_maps(self, maps: Tensor, crops: Tensor | None) -> Tensor:
        """Crop and flip maps (N, H, W) with their images; the padding is -1."""
        return maps if crops is None else self.crop(maps[:, None], crops, -1)[:, 0]

    def augment(self, images: Tensor, labels: Tensor | None, crops: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Crop and flip, unless ``crops`` is None, normalise, and compute one-hot scores if they are needed."""
        if crops is not None:
            images = self.crop(images, crops)
        inputs = images.to(torch.float32, memory_format=torch.channels_last)
        inputs = (inputs - self.mean) / self.std
        scores = F.one_hot(labels, self.num_classes) if labels is not None and self.to_onehot else None
        return inputs, scores

    def crop(self, images: Tensor, crops: Tensor, value: float = 0) -> Tensor:
        """See :func:`crop_and_flip`."""
        return crop_and_flip(images, crops, self.padding, value)


@MODELS.register_module()
class ReflectClsDataPreprocessor(InMemoryClsDataPreprocessor):
    """:class:`InMemoryClsDataPreprocessor` with reflected instead of black padding, which has no salient edge.

    ``padding`` is less than the images' height and width. The same seed gives the same crops and flips.
    """

    def crop(self, images: Tensor, crops: Tensor, value: float = 0) -> Tensor:
        return crop_and_flip(images, crops, self.padding, None)


def takes_maps(augment: Any) -> bool:
    """Whether a batch augmentation reads a saliency map that it can be given."""
    return isinstance(augment, (SaliencyMix, ShuffledSaliencyMix)) and (
        augment.options.source != "random"
        or augment.options.target != "corresponding"
        or augment.options.label == "saliency"
    )
