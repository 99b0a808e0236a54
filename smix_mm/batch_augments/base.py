"""What the batch augmentations of this package have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from ..mixing.functional import as_scores
from ..mixing.plan import own_generator
from ..utils.tensors import check_images


class BatchAugment(ABC):
    """A batch augmentation of mmpretrain's data preprocessor; a subclass defines :meth:`mix_checked`.

    Attributes:
        generator: the CPU generator of its random numbers, seeded at its first use from ``torch.initial_seed()`` and
            the rank; None before, and where nothing is drawn from it. Checkpoints contain its state.
        channels: of the images.
    """

    generator: torch.Generator | None = None
    channels = 3

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            batch_inputs: normalized, floating-point (N, 3, H, W), H and W at least 3; not changed.
            batch_scores: scores (N, K), floating-point or one-hot integers.

        Returns:
            ``(mixed_inputs, mixed_scores)``; the inputs new, of the same dtype, device and memory format; the scores
            floating-point.

        Raises:
            TypeError, ValueError: an argument is not as above; or the augmentation reads the pixels, and they
                contain NaN or infinity, or unnormalized values that are not pixels, as with a wrong ``mean`` or
                ``std``.
        """
        return self.mix(batch_inputs, batch_scores)

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor, *more: Any) -> tuple[Tensor, Tensor]:
        """Same as calling the object, under the name of mmpretrain's batch augmentations."""
        check_images(batch_inputs, f"N, {self.channels}, H, W", dtype="floating-point", name="batch_inputs")
        scores = as_scores(batch_scores, len(batch_inputs), None)
        if len(batch_inputs) == 0:
            return batch_inputs.clone(), scores.clone()
        return self.mix_checked(batch_inputs, scores, *more)

    @abstractmethod
    def mix_checked(self, batch_inputs: Tensor, scores: Tensor, *more: Any) -> tuple[Tensor, Tensor]:
        """Mix a checked batch of at least one image; ``scores`` are floating-point (N, K), ``more`` is from ``mix``."""

    def seeded(self) -> torch.Generator:
        """:attr:`generator`, seeded if it was not used before."""
        if self.generator is None:
            self.generator = own_generator()
        return self.generator
