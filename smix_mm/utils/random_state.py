"""The state of everything in a process that draws random numbers, as tensors and plain numbers."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, cast

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, out of the wrapper that several processes put around it."""
    return cast(nn.Module, model.module) if is_model_wrapper(model) else model


def get_random_state(model: nn.Module) -> dict[str, Any]:
    """The state of python's, numpy's and torch's generators, and of those that the model owns.

    Args:
        model: without a wrapper around it. Any part of it, or any of its batch augmentations, that
            keeps a ``torch.Generator`` in an attribute ``generator`` is included.

    Returns:
        what ``torch.load(..., weights_only=True)`` reads: tensors, numbers, strings, dicts, lists.
        ``cuda`` has one tensor for each GPU that the process sees, none where it used none.
    """
    _, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached_gauss = cast(tuple, np.random.get_state())
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return dict(
        python=dict(words=torch.tensor(words), gauss=gauss),
        numpy=dict(words=torch.tensor(keys.tolist()), place=place, has_gauss=has_gauss, gauss=cached_gauss),
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if on_gpu else [],
        generators={
            name: dict(device=str(owner.generator.device), state=owner.generator.get_state())
            for name, owner in generator_owners(model)
            if owner.generator is not None
        },
    )


def set_random_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Put back what :func:`get_random_state` gave.

    Generators of a model that has none of that name, and of GPUs that are not there, are left out.
    """
    python, numpy = state["python"], state["numpy"]
    random.setstate((3, tuple(python["words"].tolist()), python["gauss"]))
    words = numpy["words"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, numpy["place"], numpy["has_gauss"], numpy["gauss"]))
    torch.set_rng_state(state["torch"])
    for device, on_gpu in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(on_gpu, device)
    for name, owner in generator_owners(model):
        if name in state["generators"]:
            saved = state["generators"][name]
            owner.generator = torch.Generator(saved["device"])
            owner.generator.set_state(saved["state"])


def generator_owners(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Parts of a model, and batch augmentations of its data preprocessor, with a ``generator``, by name."""
    for name, module in model.named_modules():
        yield from _if_owner(name, module)
        # mmpretrain's wrapper of batch augmentations is no module.
        augments = getattr(getattr(module, "batch_augments", None), "augments", ())
        for number, augment in enumerate(augments):
            if not isinstance(augment, nn.Module):
                yield from _if_owner(f"{name}.batch_augments.{number}", augment)


def _if_owner(name: str, candidate: Any) -> Iterator[tuple[str, Any]]:
    # A generator that is not drawn from yet may be None; elsewhere the word means a network.
    if isinstance(getattr(candidate, "generator", ""), (torch.Generator, type(None))):
        yield name, candidate


@contextmanager
def preserved_random_state(seed: int | None = None) -> Iterator[None]:
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
