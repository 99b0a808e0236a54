"""SaliencyMix with the maps of other images: the control that changes only the saliency."""

from __future__ import annotations

from typing import Any

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from .base import BatchAugment
from .saliency_mix import SaliencyMix


class _RolledImages(SaliencyMix):
    def detector_input(self, batch_inputs: Tensor, maps: Tensor | None = None) -> Any:
        return super().detector_input(batch_inputs, maps).roll(1, 0)


@BATCH_AUGMENTS.register_module()
class ShuffledSaliencyMix(BatchAugment):
    """SaliencyMix with boxes from the map of another image: a control, which is not in the paper.

    A patch of image j lies around the peak of image j - 1 of the batch. Over shuffled batches its
    place, and with ``border='clip'`` its area, have the same distribution as in :class:`SaliencyMix`,
    such as a preference for borders or for the middle, but do not depend on the image's content.
    With the same seed, partners and λ are the same, too.

    Args:
        **options: as for :class:`SaliencyMix`; with ``source='random'`` the boxes are the same. The weights of
            ``label='saliency'`` come from the other image's map too.

    Raises:
        ValueError: as for :class:`SaliencyMix`.
    """

    # Not a subclass of SaliencyMix: code that draws the boxes of a SaliencyMix would draw wrong ones.
    def __init__(self, **options: Any) -> None:
        self._mix = _RolledImages(**options)
        self.channels, self.options, self.detector = self._mix.channels, self._mix.options, self._mix.detector

    @property
    def generator(self) -> torch.Generator | None:
        """The generator of λ and partners; None before the first batch."""
        return self._mix.generator

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        self._mix.generator = generator

    def mix_checked(self, batch_inputs: Tensor, scores: Tensor, maps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mix with other images' maps; ``maps`` as for :meth:`SaliencyMix.mix`."""
        return self._mix.mix_checked(batch_inputs, scores, maps)
