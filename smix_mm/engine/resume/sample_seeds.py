"""Augmentation that depends on the sample alone: not on the workers, nor on what came before."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset


class SampleKey(NamedTuple):
    """What to read, and the numbers that seed its augmentation.

    Attributes:
        index: what the sampler gave, most often the number of a sample in the dataset.
        entropy: (seed of the run, epoch, rank, position in the rank's epoch), none negative.
    """

    index: Any
    entropy: tuple[int, ...]


@contextmanager
def seeded(entropy: Sequence[int]) -> Iterator[None]:
    """Seed python's, numpy's and torch's generators on the CPU; afterwards they go on as if nothing had been.

    Args:
        entropy: numbers from 0 on, for ``numpy.random.SeedSequence``.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence(entropy).generate_state(10)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:8])
    # Not torch.manual_seed: it would seed the GPU's generators too, which belong to the model.
    torch.default_generator.manual_seed(int(words[8:].view(np.uint64)[0]) >> 1)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


class SeededDataset:
    """A dataset that is asked by :class:`SampleKey`; all else is the dataset's own."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, key: SampleKey) -> Any:
        with seeded(key.entropy):
            return self.dataset[key.index]

    def __getitems__(self, keys: Sequence[SampleKey]) -> Any:
        """A batch. A dataset that reads whole batches is seeded once, by the batch's first sample."""
        whole = getattr(self.dataset, "__getitems__", None)
        if not whole:
            return [self[key] for key in keys]
        with seeded(keys[0].entropy):
            return whole([key.index for key in keys])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # A copy in a worker process is asked for its methods before it has its attributes.
        if name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)


class SampleKeys:
    """A sampler or batch sampler whose indices become :class:`SampleKey`.

    Args:
        source: what yields indices, or lists of them.
        batched: whether it yields lists.
        seed: the run's.
        rank: of this process.
    """

    def __init__(self, source: Any, batched: bool, seed: int, rank: int) -> None:
        self.source = source
        self.batched = batched
        self.seed = seed
        self.rank = rank
        self.start(0, 0)

    def start(self, epoch: int, skip: int) -> None:
        """Say where the next iteration starts: in which epoch, and after how many batches."""
        self.epoch = epoch
        self.skip = skip

    def __iter__(self) -> Iterator[Any]:
        epoch, skip, self.skip = self.epoch, self.skip, 0
        position = 0
        for number, given in enumerate(self.source):
            indices = given if self.batched else [given]
            if number >= skip:
                keys = [
                    SampleKey(index, (self.seed, epoch, self.rank, position + i)) for i, index in enumerate(indices)
                ]
                yield keys if self.batched else keys[0]
            position += len(indices)

    def __len__(self) -> int:
        return len(self.source)


class SeededDataLoader(DataLoader):
    """A ``DataLoader`` that augments alike with any number of workers; :func:`seed_samples` makes one.

    Hooks that look at its dataset or samplers, or exchange the dataset's pipeline, find those that
    the config describes: the seeding parts are in their places only while torch builds an iterator.
    """

    keys: SampleKeys

    def read(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        """The batches of an epoch from number ``skip`` on. Nothing that is skipped is read."""
        self.keys.start(epoch, skip)
        return iter(self)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # A generator, so that an iterator that nobody asks for a batch starts no workers.
        name = _index_sampler(self)
        plain = {"dataset": self.dataset, name: getattr(self, name)}
        # torch forbids to set these attributes by assignment.
        vars(self).update({"dataset": SeededDataset(self.dataset), name: self.keys})
        try:
            batches = super().__iter__()
        finally:
            vars(self).update(plain)
        yield from batches


def seed_samples(loader: DataLoader, seed: int, rank: int) -> bool:
    """Turn a loader, where it stands, into a :class:`SeededDataLoader`.

    Args:
        loader: a plain one; what it was built with stays.
        seed: from 0 on, the same on all ranks or not.
        rank: of this process.

    Returns:
        whether it could be done: not for a class of its own, nor for a dataset without indices.
    """
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return False
    name = _index_sampler(loader)
    loader.__class__ = SeededDataLoader
    assert isinstance(loader, SeededDataLoader)
    loader.keys = SampleKeys(getattr(loader, name), name == "batch_sampler", seed, rank)
    if loader.generator is None:
        # Else every new iterator would draw its workers' seeds from the stream that the model draws from.
        loader.generator = torch.Generator().manual_seed(seed)
    return True


def _index_sampler(loader: DataLoader) -> str:
    return "sampler" if loader.batch_sampler is None else "batch_sampler"
