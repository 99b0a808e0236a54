"""Random numbers without a trace."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Iterator

import numpy as np
import torch


@contextmanager
def kept_random_state(seed: int | None = None) -> Iterator[None]:
    """Put Python's, numpy's and torch's global generators back to where they were, on leaving.

    Args:
        seed: what they start from inside; None leaves them as they are. At least 0.
    """
    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices):
        try:
            if seed is not None:
                random.seed(seed)
                np.random.seed(seed % 2**32)
                torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
