"""Flip, colour jitter, PCA lighting and normalisation of whole batches on the training device."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from ...mixing.plan import own_generator
from ...models.label_batch import BatchClsDataPreprocessor
from ...transforms import EIGENVALUES, EIGENVECTORS

# Separates the draws from those of a batch augmentation with the same seed and rank.
STREAM = 1
# Pillow's weights of red, green and blue in a grey value, in 1/65536.
_GREY = (19595.0, 38470.0, 7471.0)
_CONTRAST, _SATURATION = 1, 2


@MODELS.register_module()
class AugmentingClsDataPreprocessor(BatchClsDataPreprocessor):
    """The data preprocessor of a pipeline that ends after the crop: the rest of the augmentation by batch.

    In training it does what ``RandomFlip(prob=flip_prob)``, ``ColorJitter`` and ``PCALighting`` do for one image at a
    time, in this order, then normalises and applies the batch augmentations as ``BatchClsDataPreprocessor`` does. Each
    image has its own draws, from the same distributions. For the same draws the pixels are bit-identical to those of
    the three transforms on a CPU.

    Args:
        flip_prob: probability of a horizontal flip. Defaults to 0.
        brightness, contrast, saturation: a factor is uniform in ``[max(0, 1 - value), 1 + value]``; the three are
            applied in random order. Default to 0.
        alphastd: standard deviation of the lighting, see :class:`~smix_mm.transforms.PCALighting`. Defaults to 0.
        size: side of the crops that are made of encoded images on the device (:meth:`decode`), pixels. Defaults to
            224.
        **kwargs: as in ``ClsDataPreprocessor``. With ``to_rgb=True`` the images are BGR, as files are read.

    Raises:
        ValueError: an argument is out of range.

    Attributes:
        generator: the CPU generator of the draws, seeded at the first batch from ``torch.initial_seed()`` and the
            rank; None before that. Checkpoints of an exact resume contain it.
    """

    def __init__(
        self,
        flip_prob: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        alphastd: float = 0.0,
        size: int = 224,
        **kwargs: Any,
    ) -> None:
        if not 0 <= flip_prob <= 1:
            raise ValueError(f"flip_prob should be between 0 and 1, got {flip_prob}")
        given = dict(brightness=brightness, contrast=contrast, saturation=saturation, alphastd=alphastd)
        for name, value in given.items():
            if not value >= 0:
                raise ValueError(f"{name} should be a number of at least 0, got {value!r}")
        super().__init__(**kwargs)
        self.flip_prob = flip_prob
        self.jitter = torch.tensor([brightness, contrast, saturation], dtype=torch.float64)
        self.alphastd = alphastd
        self.size = size
        self.generator: torch.Generator | None = None

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Augment, normalise and mix a batch.

        Args:
            data: ``inputs``, uint8 (N, 3, H, W), or a list of N encoded JPEGs, uint8 (bytes,), with ``crop_boxes``,
                int64 (N, 4); ``data_samples``, class numbers int64 (N,), or as for ``ClsDataPreprocessor``.
            training: whether to augment. Defaults to False.

        Returns:
            ``inputs``, float32 (N, 3, H, W), and ``data_samples``, a :class:`LabelBatch` in training.

        Raises:
            TypeError: in training, ``inputs`` is not as above.
        """
        images = data["inputs"]
        images = self.decode(images, data["crop_boxes"]) if "crop_boxes" in data else self.cast_data(images)
        if training:
            if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.shape[1:2] != (3,):
                given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
                raise TypeError(
                    f"inputs should be a uint8 tensor (N, 3, H, W), got {given}; end the pipeline with "
                    "PackTensors and use collate_fn=dict(type='channels_last_batch')"
                )
            images = self.augment(images, self.draw(len(images)).to(images.device, non_blocking=True))
        return super().forward({"inputs": images, "data_samples": data.get("data_samples")}, training)

    def draw(self, number: int) -> Tensor:
        """Draw for a batch of ``number`` images.

        Returns float32 (number, 10) on the CPU: 1 for a flip, else 0; which of brightness (0), contrast (1) and
        saturation (2) is first, second and third; their factors in that order; the lighting's colour in the channels'
        order.
        """
        if self.generator is None:
            self.generator = own_generator(STREAM)
        options: dict[str, Any] = dict(generator=self.generator, dtype=torch.float64)
        flips = torch.rand(number, 1, **options) < self.flip_prob
        order = torch.rand(number, 3, **options).argsort(1)
        low, high = (1 - self.jitter).clamp(min=0), 1 + self.jitter
        factors = (low + (high - low) * torch.rand(number, 3, **options)).gather(1, order)
        alpha = self.alphastd * torch.randn(number, 3, **options)
        colours = 255 * (alpha * torch.from_numpy(EIGENVALUES)) @ torch.from_numpy(EIGENVECTORS).T
        return torch.cat([flips, order, factors, colours.flip(1) if self.to_rgb else colours], 1).float()

    def augment(self, images: Tensor, draws: Tensor) -> Tensor:
        """Flip, change the colours and the lighting of uint8 (N, 3, H, W), by :meth:`draw` on the same device.

        Returns float32 (N, 3, H, W), whole numbers from 0 to 255, so that saliency can be computed from them after
        the normalisation.
        """
        flips, order, factors, colours = (part[:, :, None, None] for part in draws.split([1, 3, 3, 3], 1))
        values = torch.where(flips.bool(), images.flip(3), images).float()
        if bool(self.jitter.any()):
            for place in range(3):
                values = self._blend(values, order[:, place, None], factors[:, place, None])
        if self.alphastd:
            values = (values + colours).round_().clamp_(0, 255)
        return values

    def _blend(self, values: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
        """One step of Pillow's ``ImageEnhance`` by image: ``factor * image + (1 - factor) * other``, rounded down.

        The other image is black for brightness, the rounded mean of the grey values for contrast, and the grey image
        for saturation. Every number up to the blend is a whole one below 2^24, so float32 is exact.
        """
        weights = _GREY[::-1] if self.to_rgb else _GREY
        first, second, third = (channel * weight for channel, weight in zip(values.split(1, 1), weights))
        grey = first + second + third
        grey = ((grey + 32768) / 65536).floor_()
        mean = (grey.sum((2, 3), keepdim=True, dtype=torch.float64) / grey[0].numel() + 0.5).floor().float()
        other = torch.where(kinds == _SATURATION, grey, torch.where(kinds == _CONTRAST, mean, 0.0))
        return (other + factors * (values - other)).clamp_(0, 255).floor_()

    def decode(self, contents: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Decode JPEGs, uint8 (bytes,), on the device, crop and resize; never run on a GPU.

        On a GPU torchvision decodes with nvJPEG, whose pixels differ from libjpeg's. ``boxes`` are int64 (N, 4): top,
        left, height and width. Returns uint8 (N, 3, size, size) on the device, BGR if ``to_rgb``.
        """
        from torchvision.io import ImageReadMode, decode_jpeg

        images = decode_jpeg(list(contents), mode=ImageReadMode.RGB, device=self.device)
        crops = []
        for image, (top, left, height, width) in zip(images, boxes.tolist()):
            part = image[None, :, top : top + height, left : left + width].float()
            crops.append(F.interpolate(part, (self.size, self.size), mode="bilinear", align_corners=False))
        batch = torch.cat(crops).round_().clamp_(0, 255).to(torch.uint8)
        return batch.flip(1) if self.to_rgb else batch
