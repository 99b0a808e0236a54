"""SaliencyMix for a data loader or a loop of one's own, in the form of torchvision's v2 transforms."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ..saliency import SaliencyDetector, build_detector
from ..saliency.normalized import NormalizedImages
from ..saliency.unnormalize import Unnormalize
from .functional import as_scores, check_images, saliency_mix
from .generator import call_generator
from .options import mix_options

Samples = List[Any]


class SaliencyMixTransform(nn.Module):
    """SaliencyMix of a batch: ``images, targets = transform(images, labels)``.

    It stands where torchvision's ``v2.CutMix`` or timm's ``Mixup`` would: after the data loader, in
    ``v2.RandomChoice``, as timm's ``mixup_fn``, or in Lightning's ``on_after_batch_transfer``. The
    loss has to take scores, as ``torch.nn.functional.cross_entropy`` does.

    Args:
        num_classes: for labels that are class numbers; not needed for scores.
        prob: the chance that a batch is mixed, in [0, 1]; the others are passed on with one-hot
            targets. Defaults to 1.0 (the paper: 0.5 for CIFAR, 1.0 for ImageNet).
        mean, std: where images are normalised, what they were normalised with, in torchvision's
            units (``v2.Normalize`` of floats in [0, 1]: ImageNet's mean is 0.485, 0.456, 0.406).
            Left out, images are uint8, or floats in [0, 1].
        detector: default :class:`~smix_mm.saliency.FineGrainedSaliency`; a config dict will do.
        options: ``alpha``, ``source``, ``target``, ``border``, ``box_per``, ``lam_per``, ``ties``
            of :func:`smix_mm.saliency_mix`.

    Raises:
        ValueError: an argument is not as above.

    .. note::
        What is random follows ``torch.manual_seed`` and a data loader's seeds for its workers, and
        differs from rank to rank where the seeds are equal.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        prob: float = 1.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        detector: SaliencyDetector | Mapping[str, Any] = {"type": "FineGrainedSaliency"},  # noqa: B006
        **options: Any,
    ) -> None:
        super().__init__()
        if num_classes is not None and (isinstance(num_classes, bool) or not isinstance(num_classes, int)):
            raise ValueError(f"num_classes is {num_classes!r}; wanted the number of classes, such as 10")
        if isinstance(prob, bool) or not isinstance(prob, (int, float)) or not 0 <= prob <= 1:
            raise ValueError(f"prob is {prob!r}; wanted a number from 0 to 1")
        if (mean is None) != (std is None):
            raise ValueError(f"mean is {mean!r} and std is {std!r}; wanted both, or neither")
        self.num_classes = num_classes
        self.prob = float(prob)
        self.unnormalize = None
        if mean is not None and std is not None:
            advice = "give the mean and std of the Normalize that the images went through"
            self.unnormalize = Unnormalize(mean, std, unit=1, advice=advice)
        self.detector = build_detector(detector)
        self.options = mix_options(**options)
        # timm's name: its loop sets it to False for the last epochs.
        self.mixup_enabled = True

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: (N, 3, H, W), H and W at least 3: uint8, floats in [0, 1], or normalised floats
                where ``mean`` and ``std`` were given. Never changed.
            labels: class numbers (N,), or scores (N, K).

        Returns:
            ``(mixed_images, targets)``: of the dtype and device of ``images``, ``images`` itself
            where the batch is not mixed; floating (N, K).

        Raises:
            TypeError, ValueError: something is not as above.
        """
        check_images(images)
        generator = call_generator()
        scores = as_scores(labels, len(images), self.num_classes)
        if not self.mixup_enabled or float(torch.rand(1, generator=generator)) >= self.prob:
            return images, scores
        uint8_images: Tensor | NormalizedImages | None = None
        if self.unnormalize is not None:
            if images.shape[1] != 3:
                raise ValueError(f"images has shape {tuple(images.shape)}; wanted (N, 3, H, W) in RGB")
            reads = self.detector.reads_normalized(images.device)
            uint8_images = self.unnormalize.wrap(images) if reads else self.unnormalize(images)
        options = dict(self.options, detector=self.detector, generator=generator)
        return saliency_mix(images, scores, uint8_images=uint8_images, **options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in dict(prob=self.prob, **self.options).items())


class SaliencyMixCollate:
    """``DataLoader(..., collate_fn=SaliencyMixCollate(num_classes=10))``: batches come out mixed.

    It mixes in the loader's workers, on the CPU; :class:`SaliencyMixTransform` after the loader
    mixes where the batch is.

    Args:
        num_classes: see :class:`SaliencyMixTransform`, as for all others that are not named here.
        collate: what makes a batch ``(images, labels)`` of samples. Defaults to torch's
            ``default_collate``; for timm's prefetching loader, ``timm.data.loader.fast_collate``.

    Raises:
        ValueError: an argument is not as there.
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
        """``(mixed_images, targets)`` from a list of ``(image, label)``.

        Raises:
            TypeError: samples that are no pairs, or of something that is no tensor.
            ValueError: see :class:`SaliencyMixTransform`.
        """
        batch = self.collate(samples)
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            given = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"a batch is {given}; wanted two, (images, labels), from a data set of such pairs")
        return self.transform(*batch)
