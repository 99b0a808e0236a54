"""Generators that differ from rank to rank and follow ``torch.manual_seed``."""

from __future__ import annotations

import os

import numpy as np
import torch
import torch.distributed as dist


def own_generator(*stream: int) -> torch.Generator:
    """A CPU generator for an object that keeps it: seeded from ``torch.initial_seed()`` and the rank.

    Args:
        stream: numbers that separate the draws of objects with the same seed and rank; none by default.
    """
    return _seeded(torch.initial_seed(), this_rank(), *stream)


def call_generator() -> torch.Generator:
    """A CPU generator for one call: seeded by one number of torch's global generator, and the rank.

    A data loader seeds torch's global generator anew in each worker and epoch, so this is right
    wherever an object may be copied into workers; ranks with equal seeds still draw differently.
    """
    return _seeded(int(torch.randint(0, 2**63 - 1, (1,))), this_rank())


def this_rank() -> int:
    """The rank of this process, 0 where there is one process alone.

    A worker that was spawned, not forked, knows no process group; ``RANK`` is what ``torchrun``
    leaves to it.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isdecimal() else 0


def _seeded(*numbers: int) -> torch.Generator:
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64).item() >> 1
    return torch.Generator().manual_seed(seed)
