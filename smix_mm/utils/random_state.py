"""State of the random number generators of a process: Python's, NumPy's, torch's, and those that a model owns."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Sequence, Tuple, cast

import numpy as np
import torch
from torch import nn

CpuState = Tuple[Any, Any, torch.Tensor]


def get_cpu_state() -> CpuState:
    """State of the global generators of Python, NumPy and torch on the CPU, for :func:`set_cpu_state`."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_cpu_state(state: CpuState) -> None:
    """Restore the global generators of Python, NumPy and torch on the CPU."""
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])


def get_random_state(model: nn.Module) -> dict[str, Any]:
    """State of all generators, in a form for checkpoints.

    Args:
        model: Not wrapped, see :func:`~smix_mm.utils.tensors.unwrapped`. The ``torch.Generator`` of every submodule
            and batch augmentation that has one as its attribute ``generator`` is included.

    Returns:
        A dict of tensors, numbers, strings, dicts and lists, which ``torch.load(..., weights_only=True)`` reads:
        ``python``, ``numpy``, ``torch``, ``cuda`` (a tensor for each visible GPU; empty if CUDA was not used),
        ``generators`` (by name of the submodule), and ``augments`` if a batch augmentation has a ``state_dict``.
    """
    python, numpy, on_cpu = get_cpu_state()
    _, words, gauss = python
    _, keys, position, has_gauss, cached_gauss = cast(tuple, numpy)
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    augments = {name: owner.state_dict() for name, owner in _augments_with_state(model)}
    return dict(
        python=dict(words=torch.tensor(words), gauss=gauss),
        numpy=dict(words=torch.tensor(keys.tolist()), place=position, has_gauss=has_gauss, gauss=cached_gauss),
        torch=on_cpu,
        cuda=torch.cuda.get_rng_state_all() if on_gpu else [],
        generators={
            name: dict(device=str(owner.generator.device), state=owner.generator.get_state())
            for name, owner in generator_owners(model)
            if owner.generator is not None
        },
        **(dict(augments=augments) if augments else {}),
    )


def set_random_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Restore what :func:`get_random_state` returned.

    Generators of submodules that ``model`` lacks, and of GPUs that are not visible, are skipped.
    """
    python, numpy = state["python"], state["numpy"]
    words = numpy["words"].numpy().astype(np.uint32)
    of_numpy = ("MT19937", words, numpy["place"], numpy["has_gauss"], numpy["gauss"])
    set_cpu_state(((3, tuple(python["words"].tolist()), python["gauss"]), of_numpy, state["torch"]))
    for device, on_gpu in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(on_gpu, device)
    for name, owner in generator_owners(model):
        if name in state["generators"]:
            saved = state["generators"][name]
            owner.generator = torch.Generator(saved["device"])
            owner.generator.set_state(saved["state"])
    for name, owner in _augments_with_state(model):
        if name in state.get("augments", {}):
            owner.load_state_dict(state["augments"][name])


def _augments_with_state(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, owner in generator_owners(model):
        if hasattr(owner, "load_state_dict") and not isinstance(owner, nn.Module):
            yield name, owner


def generator_owners(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Names and objects with an attribute ``generator``: submodules, and batch augmentations of a preprocessor."""
    candidates: list[tuple[str, Any]] = []
    for name, module in model.named_modules():
        candidates.append((name, module))
        # mmpretrain's wrapper of batch augmentations is no module.
        augments = getattr(getattr(module, "batch_augments", None), "augments", ())
        candidates += [
            (f"{name}.batch_augments.{number}", augment)
            for number, augment in enumerate(augments)
            if not isinstance(augment, nn.Module)
        ]
    for name, candidate in candidates:
        # A generator that nothing was drawn from yet may be None; a network can have the same attribute name.
        if isinstance(getattr(candidate, "generator", ""), (torch.Generator, type(None))):
            yield name, candidate


@contextmanager
def preserved_random_state(seed: int | None = None) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch, on the CPU and all GPUs, on leaving.

    Inside they continue from their current state, or begin with ``seed``, which is at least 0.
    """
    before = get_cpu_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices):
        try:
            if seed is not None:
                random.seed(seed)
                np.random.seed(seed % 2**32)
                torch.manual_seed(seed)
            yield
        finally:
            set_cpu_state(before)


@contextmanager
def seeded_cpu(entropy: Sequence[int]) -> Iterator[None]:
    """Seed the CPU generators of Python, NumPy and torch inside (:func:`seed_cpu`), and restore them on leaving."""
    before = get_cpu_state()
    seed_cpu(entropy)
    try:
        yield
    finally:
        set_cpu_state(before)


def seed_cpu(entropy: Sequence[int]) -> None:
    """Seed the CPU generators of Python, NumPy and torch.

    Args:
        entropy: Numbers of at least 0, for ``numpy.random.SeedSequence``.
    """
    words = np.random.SeedSequence(entropy).generate_state(10)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:8])
    # Not torch.manual_seed, which would seed the GPUs too.
    torch.default_generator.manual_seed(int(words[8:].view(np.uint64)[0]) >> 1)


@contextmanager
def seeded_numpy(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator with ``seed``, 0 to 2**32 - 1, inside, and restore it on leaving."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
