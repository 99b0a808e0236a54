"""What a training iteration changes before its loss is known, kept as it was when the iteration began."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...utils.random_state import generator_owners
from .batch_file import hold


class IterationStart:
    """The batch, the model's buffers and the random state at the beginning of an iteration.

    It is taken at every iteration, so it copies no more than it must, and reads nothing from a GPU.

    Args:
        model: without a wrapper around it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.owners = [owner for _, owner in generator_owners(model)]
        self.buffers: list[Tensor] = []
        self.batch: Any = None

    def take(self, batch: Any) -> None:
        """Keep everything as it is now."""
        self.batch = hold(batch)
        buffers = list(self.model.buffers())
        if [buffer.shape for buffer in buffers] == [kept.shape for kept in self.buffers]:
            _copy(self.buffers, buffers)
        else:
            self.buffers = [buffer.detach().clone() for buffer in buffers]
        self.random = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        self.generators = [owner.generator and owner.generator.get_state() for owner in self.owners]

    def restore_buffers(self) -> None:
        """Running statistics and whatever else the forward pass has moved."""
        _copy(list(self.model.buffers()), self.buffers)

    def restore_random_state(self) -> None:
        """Python's, numpy's and torch's generators, the GPU's, and those of the model and its augmentations."""
        random.setstate(self.random[0])
        np.random.set_state(self.random[1])
        torch.set_rng_state(self.random[2])
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)
        for owner, state in zip(self.owners, self.generators):
            if state is None:
                owner.generator = None
            else:
                owner.generator.set_state(state)


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    with torch.no_grad():
        if targets and hasattr(torch, "_foreach_copy_"):  # from torch 2.1 on: few launches for all of them
            torch._foreach_copy_(targets, sources)
        else:
            for target, source in zip(targets, sources):
                target.copy_(source)
