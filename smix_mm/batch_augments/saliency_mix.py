"""SaliencyMix as a batch augmentation of mmpretrain."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..mixing import Scheme, draw_mix
from ..mixing.functional import apply_mix, as_scores
from ..mixing.generator import own_generator
from ..mixing.options import mix_options
from ..mixing.plan import MixNumbers, mix_numbers
from ..saliency import SaliencyDetector, build_detector
from ..saliency.normalized import NormalizedImages
from ..saliency.unnormalize import Unnormalize


@BATCH_AUGMENTS.register_module()
class SaliencyMix:
    r"""SaliencyMix: cut the most salient patch of one image and paste it on another.

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
            (mmpretrain hands RGB where ``to_rgb=True`` follows images read from files).
            Defaults to ``'rgb'``.

    Raises:
        ValueError: an option has none of these values.

    .. note::
        mmpretrain mixes after normalisation, so the images that the detector looks at are
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
        self.options = mix_options(alpha, source, target, border, box_per, lam_per, ties)
        self.detector = build_detector(saliency)
        advice = "give SaliencyMix the same mean and std as the data preprocessor"
        self.unnormalize = Unnormalize(mean, std, channel_order, advice=advice)
        self.generator: torch.Generator | None = None

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            batch_inputs: normalised floats (N, 3, H, W), H and W at least 3.
            batch_scores: scores (N, K), floating or one-hot integers.

        Returns:
            ``(mixed_inputs, mixed_scores)``, both new; scores floating.

        Raises:
            TypeError, ValueError: something is not as above; NaN or infinity; or un-normalised
                values that are no image, which points to ``mean`` and ``std``.
        """
        return self.mix(batch_inputs, batch_scores)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """The same as calling the object; mmpretrain's name for it."""
        check_inputs(batch_inputs)
        scores = as_scores(batch_scores, len(batch_inputs), None)
        if len(batch_inputs) == 0:
            return batch_inputs.clone(), scores.clone()
        numbers = self.draw(len(batch_inputs), *batch_inputs.shape[2:])
        return self.apply(batch_inputs, scores, numbers.to(batch_inputs.device))

    def draw(self, samples: int, height: int, width: int) -> MixNumbers:
        """Everything random about the mix of the next batch, on the CPU."""
        if self.generator is None:
            self.generator = own_generator()
        draw = draw_mix(samples, self.options["alpha"], self.generator)
        return mix_numbers(draw, height, width, self.options["box_per"], self.options["lam_per"])

    def apply(self, batch_inputs: Tensor, batch_scores: Tensor, numbers: MixNumbers) -> tuple[Tensor, Tensor]:
        """Mix a batch with numbers that were drawn before; nothing is random or checked any more.

        Args:
            batch_inputs: as for calling the object.
            batch_scores: floating (N, K), on the same device.
            numbers: on the same device.
        """
        scheme = Scheme(*(self.options[name] for name in ("source", "target", "ties")))
        options = {name: self.options[name] for name in ("border", "box_per", "lam_per")}
        uint8_images = self.detector_input(batch_inputs)
        return apply_mix(batch_inputs, batch_scores, uint8_images, numbers, scheme, self.detector, **options)

    def detector_input(self, batch_inputs: Tensor) -> Tensor | NormalizedImages:
        """What the detector is given: :meth:`uint8_images`, or on a GPU the batch itself if the detector reads that."""
        if self.detector.reads_normalized(batch_inputs.device):
            return self.unnormalize.wrap(batch_inputs)
        return self.uint8_images(batch_inputs)

    def uint8_images(self, batch_inputs: Tensor) -> Tensor:
        """uint8 RGB (N, 3, H, W) from normalised floats of the same shape."""
        return self.unnormalize(batch_inputs)


def check_inputs(batch_inputs: Tensor) -> None:
    """Raise unless ``batch_inputs`` is a floating tensor (N, 3, H, W) with H and W at least 3."""
    if not isinstance(batch_inputs, Tensor) or not batch_inputs.is_floating_point():
        given = batch_inputs.dtype if isinstance(batch_inputs, Tensor) else type(batch_inputs).__name__
        raise TypeError(f"the batch is {given}; wanted a floating tensor (N, 3, H, W), normalised")
    if batch_inputs.dim() != 4 or batch_inputs.shape[1] != 3 or min(batch_inputs.shape[2:]) < 3:
        raise ValueError(
            f"the batch has shape {tuple(batch_inputs.shape)}; wanted (N, 3, H, W) with H and W at least 3"
        )
