"""SaliencyMix as a batch augmentation of mmpretrain."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
import torch
import torch.distributed as dist
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing import Scheme, saliency_mix
from ..mixing.functional import PER, check_alpha
from ..mixing.patch import BORDERS
from ..mixing.scheme import check_option
from ..saliency import SaliencyDetector, build_detector

# On a GPU only these first batches are checked: looking at a value there waits for the GPU.
CHECKED_GPU_BATCHES = 10


@BATCH_AUGMENTS.register_module()
class SaliencyMix:
    r"""SaliencyMix: cut the most salient patch of one picture and paste it on another.

    The method as the paper describes it: `SaliencyMix: A Saliency Guided Data Augmentation
    Strategy for Better Regularization <https://arxiv.org/abs/2006.01791>`_ (ICLR 2021),
    section 3. What the released code does is :class:`OfficialSaliencyMix`.

    Args:
        alpha: positive; λ ~ Beta(alpha, alpha). Defaults to 1.0.
        saliency: config of the detector. Defaults to ``dict(type='FineGrainedSaliency')``.
        source: ``'salient'``, ``'non_salient'`` or ``'random'``. Defaults to ``'salient'``.
        target: ``'corresponding'``, ``'salient'`` or ``'non_salient'``. Defaults to
            ``'corresponding'``.
        border: ``'shift'`` or ``'clip'``. Defaults to ``'shift'``.
        box_per: ``'sample'`` or ``'batch'``. Defaults to ``'sample'``.
        lam_per: ``'sample'`` or ``'batch'``. Defaults to ``'sample'``.
        ties: ``'first'`` or ``'random'``. Defaults to ``'first'``.
        mean: the data preprocessor's ``mean``, three numbers. Defaults to ImageNet's.
        std: the data preprocessor's ``std``, three positive numbers. Defaults to ImageNet's.
        channel_order: ``'rgb'`` or ``'bgr'``, of the tensor that the augmentation is given
            (mmpretrain hands RGB where ``to_rgb=True`` follows pictures read from files).
            Defaults to ``'rgb'``.

    Raises:
        ValueError: an option has none of these values.

    .. note::
        mmpretrain mixes after normalisation, so the pictures that the detector looks at are
        made from the normalised ones: ``round(x * std + mean)``, clipped to 0..255. What each
        option does is said at :func:`smix_mm.saliency_mix`.

    .. note::
        λ and partners come from a CPU generator of the augmentation's own, seeded at its first
        call from ``torch.initial_seed()`` and the rank.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        saliency: Mapping[str, Any] | SaliencyDetector = {"type": "FineGrainedSaliency"},  # noqa: B006
        source: str = "salient",
        target: str = "corresponding",
        border: str = "shift",
        box_per: str = "sample",
        lam_per: str = "sample",
        ties: str = "first",
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        channel_order: str = "rgb",
    ) -> None:
        scheme = Scheme(source, target, ties)
        check_option("border", border, BORDERS)
        check_option("box_per", box_per, PER)
        check_option("lam_per", lam_per, PER)
        check_option("channel_order", channel_order, ("rgb", "bgr"))
        self.options: dict[str, Any] = dict(
            alpha=check_alpha(alpha),
            source=scheme.source,
            target=scheme.target,
            ties=scheme.ties,
            border=border,
            box_per=box_per,
            lam_per=lam_per,
        )
        self.detector = build_detector(saliency)
        self.mean = _three_numbers("mean", mean)
        self.std = _three_numbers("std", std)
        if bool((self.std <= 0).any()):
            raise ValueError(f"std is {list(std)}; wanted three positive numbers")
        self.channel_order = channel_order
        self.generator: torch.Generator | None = None
        self.gpu_batches_checked = 0

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            batch_inputs: normalised floats (N, 3, H, W), H and W at least 3.
            batch_scores: scores (N, K), floating or one-hot integers.

        Returns:
            ``(mixed_inputs, mixed_scores)``, both new; scores floating.

        Raises:
            TypeError, ValueError: something is not as above; NaN or infinity; or un-normalised
                values that are no picture, which points to ``mean`` and ``std``.
        """
        return self.mix(batch_inputs, batch_scores)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """The same as calling the object; mmpretrain's name for it."""
        check_inputs(batch_inputs)
        if self.generator is None:
            self.generator = _own_generator()
        return saliency_mix(
            batch_inputs,
            batch_scores,
            pictures=self.pictures(batch_inputs),
            detector=self.detector,
            generator=self.generator,
            **self.options,
        )

    def pictures(self, batch_inputs: Tensor) -> Tensor:
        """uint8 RGB (N, 3, H, W) from normalised floats of the same shape."""
        shape = (1, 3, 1, 1)
        mean = self.mean.to(batch_inputs.device, non_blocking=True).view(shape)
        std = self.std.to(batch_inputs.device, non_blocking=True).view(shape)
        values = batch_inputs.to(torch.float32) * std + mean
        self._check_values(values, batch_inputs.dtype)
        pictures = values.round().clamp(0, 255).to(torch.uint8)
        return pictures if self.channel_order == "rgb" else pictures.flip(1)

    def _check_values(self, values: Tensor, given: torch.dtype) -> None:
        if values.device.type != "cpu":
            if self.gpu_batches_checked >= CHECKED_GPU_BATCHES:
                return
            self.gpu_batches_checked += 1
        if values.numel() == 0:
            return
        least, most = (value.item() for value in values.aminmax())
        slack = 1 if given in (torch.float32, torch.float64) else 4
        # Written so that NaN fails it.
        if -slack <= least and most <= 255 + slack:
            return
        if not bool(values.isfinite().all()):
            raise ValueError("the batch holds NaN or infinity; wanted finite pixels: look at the data and its pipeline")
        raise ValueError(
            f"un-normalised with mean={self.mean.tolist()} and std={self.std.tolist()} the batch has values from "
            f"{least:.1f} to {most:.1f}; wanted pixels from 0 to 255: give SaliencyMix the same mean and std as "
            "the data preprocessor, or look at the data if they are the same already"
        )


def check_inputs(batch_inputs: Tensor) -> None:
    """Raise unless ``batch_inputs`` is a floating tensor (N, 3, H, W) with H and W at least 3."""
    if not isinstance(batch_inputs, Tensor) or not batch_inputs.is_floating_point():
        given = batch_inputs.dtype if isinstance(batch_inputs, Tensor) else type(batch_inputs).__name__
        raise TypeError(f"the batch is {given}; wanted a floating tensor (N, 3, H, W), normalised")
    if batch_inputs.dim() != 4 or batch_inputs.shape[1] != 3 or min(batch_inputs.shape[2:]) < 3:
        raise ValueError(
            f"the batch has shape {tuple(batch_inputs.shape)}; wanted (N, 3, H, W) with H and W at least 3"
        )


def _three_numbers(name: str, values: Sequence[float]) -> Tensor:
    try:
        numbers = torch.tensor([float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {values!r}; wanted three numbers, one a channel") from error
    if numbers.shape != (3,) or not bool(numbers.isfinite().all()):
        raise ValueError(f"{name} is {values!r}; wanted three numbers, one a channel")
    return numbers


def _own_generator() -> torch.Generator:
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    seed = np.random.SeedSequence([torch.initial_seed(), rank]).generate_state(1, np.uint64).item() >> 1
    return torch.Generator().manual_seed(seed)
