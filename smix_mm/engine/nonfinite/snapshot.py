"""What a training iteration changes before its loss is known, saved at its start."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...utils.random_state import generator_owners, get_cpu_state, set_cpu_state


class IterationSnapshot:
    """The batch, the buffers of the model (not wrapped) and the random state at the start of an iteration.

    Because it is taken at every iteration, it copies as little as possible, and reads nothing from a GPU.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.owners = [owner for _, owner in generator_owners(model)]
        self.buffers: list[Tensor] = []
        self.batch: Any = None

    def take(self, batch: Any) -> None:
        """Save the current state, and the batch."""
        self.batch = copy_batch(batch)
        buffers = list(self.model.buffers())
        if [buffer.shape for buffer in buffers] == [saved.shape for saved in self.buffers]:
            _copy(self.buffers, buffers)
        else:
            self.buffers = [buffer.detach().clone() for buffer in buffers]
        self.on_cpu = get_cpu_state()
        self.on_gpu = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        self.generators = [owner.generator and owner.generator.get_state() for owner in self.owners]
        # Of RecursiveMix; a history is replaced, never changed.
        self.histories = [getattr(owner, "history", None) for owner in self.owners]

    def restore_buffers(self) -> None:
        """Restore running statistics, all other buffers, and the last batches of batch augmentations."""
        _copy(list(self.model.buffers()), self.buffers)
        for owner, history in zip(self.owners, self.histories):
            if hasattr(owner, "history"):
                owner.history = history

    def restore_random_state(self) -> None:
        """Restore the global generators and those of the model and its batch augmentations."""
        set_cpu_state(self.on_cpu)
        if self.on_gpu is not None:
            torch.cuda.set_rng_state(self.on_gpu)
        for owner, state in zip(self.owners, self.generators):
            if state is None:
                owner.generator = None
            else:
                owner.generator.set_state(state)


def copy_batch(batch: Any) -> Any:
    """Copy what training changes in a batch: containers, samples and the tensors in samples.

    Images and metainfo, which training does not change, are shared with ``batch``.
    """
    if isinstance(batch, dict):
        return {key: copy_batch(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [copy_batch(value) for value in batch]
    if isinstance(batch, BaseDataElement):
        return _copy_element(batch)
    return batch


def _copy_element(element: BaseDataElement) -> BaseDataElement:
    copied = element.__class__.__new__(element.__class__)
    content = dict(element.__dict__)
    for name in element._data_fields & content.keys():  # properties are fields too, but not in __dict__
        value = content[name]
        if isinstance(value, BaseDataElement):
            content[name] = _copy_element(value)
        elif hasattr(value, "clone"):  # tensors and boxes
            content[name] = value.clone()
    for name in ("_data_fields", "_metainfo_fields"):
        content[name] = set(content[name])
    copied.__dict__.update(content)
    return copied


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    with torch.no_grad():
        if targets and hasattr(torch, "_foreach_copy_"):  # torch 2.1 or newer; launches few kernels
            torch._foreach_copy_(targets, sources)
        else:
            for target, source in zip(targets, sources):
                target.copy_(source)
