"""Augmentation seeded for each sample, independent of the workers and of earlier samples."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Sequence

import torch
from torch.utils.data import DataLoader, IterableDataset

from ...utils.random_state import seed_cpu, seeded_cpu


class SampleKey(NamedTuple):
    """The sampler's index, and what seeds the sample: (seed of the run, epoch, rank, position in the rank's epoch)."""

    index: Any
    entropy: tuple[int, ...]


class SeededDataset:
    """A dataset indexed by :class:`SampleKey`; other attributes are those of the wrapped dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, key: SampleKey) -> Any:
        with seeded_cpu(key.entropy):
            return self.dataset[key.index]

    def __getitems__(self, keys: Sequence[SampleKey]) -> Any:
        """Read a batch. A dataset that reads whole batches is seeded once, by the batch's first sample."""
        whole = getattr(self.dataset, "__getitems__", None)
        # The generators are restored once for the batch: that takes longer than to seed them.
        with seeded_cpu(keys[0].entropy):
            if whole:
                return whole([key.index for key in keys])
            samples = []
            for key in keys:
                seed_cpu(key.entropy)
                samples.append(self.dataset[key.index])
            return samples

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Unpickling in a worker process looks up methods before the attributes are set.
        if name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)


class SampleKeys:
    """A sampler, or if ``batched`` a batch sampler, that converts the indices of another one to :class:`SampleKey`."""

    def __init__(self, source: Any, batched: bool, seed: int, rank: int) -> None:
        self.source = source
        self.batched = batched
        self.seed = seed
        self.rank = rank
        self.start(0, 0)

    def start(self, epoch: int, skip: int) -> None:
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
    """A ``DataLoader`` with the same augmentation for any number of workers, see :func:`seed_samples`.

    Its dataset and samplers stay those of the config, for hooks that use them or change the dataset's pipeline; they
    are replaced by the seeding ones only while torch builds an iterator.
    """

    keys: SampleKeys

    def read(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        """The batches of an epoch from number ``skip`` on; skipped ones are not read."""
        self.keys.start(epoch, skip)
        return iter(self)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # A generator, so that workers start only when the first batch is requested.
        name = _index_sampler(self)
        plain = {"dataset": self.dataset, name: getattr(self, name)}
        # torch does not allow to assign these attributes.
        vars(self).update({"dataset": SeededDataset(self.dataset), name: self.keys})
        try:
            batches = super().__iter__()
        finally:
            vars(self).update(plain)
        yield from batches


def seed_samples(loader: DataLoader, seed: int, rank: int) -> bool:
    """Convert a data loader in place to a :class:`SeededDataLoader`, by the seed (at least 0) and rank of this process.

    Returns:
        False for a loader of another class or an iterable dataset, which cannot be seeded; else True.
    """
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return False
    name = _index_sampler(loader)
    loader.__class__ = SeededDataLoader
    assert isinstance(loader, SeededDataLoader)
    loader.keys = SampleKeys(getattr(loader, name), name == "batch_sampler", seed, rank)
    if loader.generator is None:
        # Else every new iterator would draw its workers' seeds from torch's global generator, as the model does.
        loader.generator = torch.Generator().manual_seed(seed)
    return True


def _index_sampler(loader: DataLoader) -> str:
    return "sampler" if loader.batch_sampler is None else "batch_sampler"
