"""SaliencyMix for a data loader or a training loop in plain PyTorch, in the form of torchvision's v2 transforms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Callable, List, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ..saliency import SaliencyDetector, build_detector
from ..saliency.normalization import NormalizedImages, Unnormalize
from ..utils.tensors import check_images
from .functional import as_scores, expand_grey, grey_to_rgb, saliency_mix, to_uint8_images
from .plan import MixOptions, call_generator

Samples = List[Any]


class SaliencyMixTransform(nn.Module):
    """SaliencyMix of a batch: ``images, targets = transform(images, labels)``.

    Use it as torchvision's ``v2.CutMix`` or timm's ``Mixup``: after the data loader, in
    ``v2.RandomChoice``, as timm's ``mixup_fn``, or in Lightning's ``on_after_batch_transfer``. The
    loss has to accept scores, as ``torch.nn.functional.cross_entropy`` does. Random numbers depend on
    ``torch.manual_seed``, on a data loader's seeds for its workers, and on the rank, so that ranks with equal seeds
    draw different ones.

    Args:
        num_classes: number of classes, for labels that are class numbers; not needed for scores.
        prob: probability that a batch is mixed, in [0, 1]; the others are returned unmixed, with one-hot
            targets. Defaults to 1.0 (the paper: 0.5 for CIFAR, 1.0 for ImageNet).
        mean, std: what normalized images were normalized with, in torchvision's units
            (``v2.Normalize`` of floats in [0, 1]: ImageNet's mean is 0.485, 0.456, 0.406), three numbers, or
            one for grey images. Defaults to None: images are uint8, or floats in [0, 1].
        to_uint8: makes the detector's images, uint8 RGB (N, 3, H, W), of a batch; for images that are neither
            RGB nor grey, such as ``lambda images: rgb_bytes(images[:, :3])``. Defaults to None.
        detector: a detector or its config. Defaults to :class:`~smix_mm.saliency.FineGrainedSaliency`.
        **options: the arguments of :class:`~smix_mm.mixing.MixOptions`.

    Raises:
        ValueError: an argument is not as above.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        prob: float = 1.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        to_uint8: Callable[[Tensor], Tensor] | None = None,
        detector: SaliencyDetector | Mapping[str, Any] = {"type": "FineGrainedSaliency"},  # noqa: B006
        **options: Any,
    ) -> None:
        super().__init__()
        if num_classes is not None and (isinstance(num_classes, bool) or not isinstance(num_classes, int)):
            raise ValueError(f"num_classes should be an integer, got {num_classes!r}")
        if isinstance(prob, bool) or not isinstance(prob, (int, float)) or not 0 <= prob <= 1:
            raise ValueError(f"prob should be a number from 0 to 1, got {prob!r}")
        if (mean is None) != (std is None):
            raise ValueError(f"mean and std should be given both, or neither, got {mean!r} and {std!r}")
        if to_uint8 is not None and (mean is not None or not callable(to_uint8)):
            raise ValueError(
                "to_uint8 should be a function of a batch, given without mean and std, "
                f"got {to_uint8!r}{' and a mean' if mean is not None else ''}"
            )
        self.num_classes = num_classes
        self.to_uint8 = to_uint8
        self.prob = float(prob)
        self.unnormalize = None
        if mean is not None and std is not None:
            advice = "give the mean and std of the images' Normalize transform"
            mean, std, self.channels = expand_grey(mean, std)
            self.unnormalize = Unnormalize(mean, std, unit=1, advice=advice)
        self.detector = build_detector(detector)
        self.options = MixOptions(**options)
        # timm's name: its training script sets it to False for the last epochs.
        self.mixup_enabled = True

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: (N, C, H, W), H and W at least 3: uint8, floats in [0, 1], or normalized floats where ``mean``
                and ``std`` were given; C is 3 or 1, with ``to_uint8`` any number. Not changed.
            labels: class numbers (N,), or scores (N, K).

        Returns:
            ``(mixed_images, targets)``: images of the dtype and device of ``images``, or ``images`` itself
            where the batch is not mixed; targets floating-point (N, K).

        Raises:
            TypeError, ValueError: an argument is not as above.
        """
        check_images(images, "N, C, H, W")
        generator = call_generator()
        scores = as_scores(labels, len(images), self.num_classes)
        if not self.mixup_enabled or float(torch.rand(1, generator=generator)) >= self.prob:
            return images, scores
        uint8_images: Tensor | NormalizedImages
        if self.to_uint8 is not None:
            uint8_images = self.to_uint8(images)
            name, (height, width) = "the result of to_uint8", images.shape[2:]
            check_images(uint8_images, f"{len(images)}, 3, {height}, {width}", dtype="uint8", name=name)
        elif self.unnormalize is not None:
            check_images(images, f"N, {self.channels}, H, W")
            uint8_images = self.unnormalize.for_detector(grey_to_rgb(images), self.detector)
        else:
            way = "give it RGB images by to_uint8, or set mean and std"
            uint8_images = to_uint8_images(images, way=way)
        options = dict(asdict(self.options), detector=self.detector, generator=generator)
        return saliency_mix(images, scores, uint8_images=uint8_images, **options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in dict(prob=self.prob, **asdict(self.options)).items())


class SaliencyMixCollate:
    """``DataLoader(..., collate_fn=SaliencyMixCollate(num_classes=10))`` returns mixed batches.

    It mixes in the loader's workers, on the CPU; :class:`SaliencyMixTransform` after the loader
    mixes on the batch's device.

    Args:
        collate: makes a batch ``(images, labels)`` of samples. Defaults to torch's
            ``default_collate``; for timm's prefetching loader, ``timm.data.loader.fast_collate``.
        num_classes: see :class:`SaliencyMixTransform`.
        **options: the other arguments of :class:`SaliencyMixTransform`, as are the errors.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        collate: Callable[[Samples], Any] = default_collate,
        **options: Any,
    ) -> None:
        self.collate = collate
        self.transform = SaliencyMixTransform(num_classes, **options)

    def __call__(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """``(mixed_images, targets)`` from a list of ``(image, label)``; a TypeError if a sample is not such a pair."""
        batch = self.collate(samples)
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            given = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"a batch should be a pair (images, labels), got {given}")
        return self.transform(*batch)
