"""SaliencyMix with the maps of other images: the control that leaves all but the saliency as it is."""

from __future__ import annotations

from typing import Any

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from ..saliency.normalized import NormalizedImages
from .saliency_mix import SaliencyMix


class _RolledImages(SaliencyMix):
    def detector_input(self, batch_inputs: Tensor) -> Tensor | NormalizedImages:
        return super().detector_input(batch_inputs).roll(1, 0)


@BATCH_AUGMENTS.register_module()
class ShuffledSaliencyMix:
    """SaliencyMix whose every box comes from the map of another image than the one that is cut.

    A patch of image j lies around the peak of image j - 1 of the batch. Over shuffled batches its
    place, and with ``border='clip'`` its area, have the very distribution that they have in
    :class:`SaliencyMix`, with all its love of borders or of the middle; only the tie between the place
    and what is shown there is cut. With the same seed, partners and λ are the same too. Not in the
    paper: a control.

    Args:
        **options: as for :class:`SaliencyMix`; a ``'random'`` source is not changed by this.

    Raises:
        ValueError: as there.
    """

    # It has a SaliencyMix and is none: who draws the boxes of a SaliencyMix would draw others than these.
    def __init__(self, **options: Any) -> None:
        self._mix = _RolledImages(**options)

    @property
    def generator(self) -> torch.Generator | None:
        """What λ and partners are drawn from; None before the first batch."""
        return self._mix.generator

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        self._mix.generator = generator

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch; arguments, results and errors as for :class:`SaliencyMix`."""
        return self.mix(batch_inputs, batch_scores)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """The same as calling the object; mmpretrain's name for it."""
        return self._mix.mix(batch_inputs, batch_scores)
