"""Train loops that resume within an epoch, with the random numbers of an uninterrupted run."""

from __future__ import annotations

import itertools
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from ...utils.random_state import seed_cpu, seeded_cpu, set_random_state
from ...utils.tensors import unwrapped


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
        self.source, self.batched, self.seed, self.rank = source, batched, seed, rank
        self.epoch = self.skip = 0

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
        self.keys.epoch, self.keys.skip = epoch, skip
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


class ExactLoop(BaseLoop):
    """Base class of the exact loops, which need checkpoints of :class:`~smix_mm.engine.ExactCheckpointHook`.

    Each sample's augmentation is seeded by (seed, epoch, rank, position in the rank's epoch), so that it does not
    depend on the number of workers or on when they were started. Attributes and arguments of the mmengine loops do
    not change.

    Attributes:
        samples_are_seeded: False if :func:`seed_samples` does not support the
            data loader; then a resume is not exact.
        data_epoch: Number of finished passes through the data, by which the sampler shuffles.
        batches_done: Number of finished batches of this pass.
        validated: Whether a validation that was due after the last iteration is finished.
    """

    def __init__(self, runner: Any, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(dataloader, dict):
            different_seeds = runner._randomness_cfg.get("diff_rank_seed", False)
            dataloader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=different_seeds)
        self.samples_are_seeded = seed_samples(dataloader, runner.seed, get_rank())
        super().__init__(runner, dataloader, *args, **kwargs)
        self.data_epoch = 0
        self.batches_done = 0
        self.validated = True
        self.restored = False
        self._random_state: Mapping[str, Any] | None = None

    def progress(self, iteration: int) -> dict[str, Any]:
        """The position in the data after ``iteration`` iterations: the loop's own count, or one more."""
        return dict(
            data_epoch=self.data_epoch,
            batches_done=self.batches_done + iteration - self.iter,
            validated=self.validated and iteration == self.iter,
            batches_per_epoch=len(self.dataloader),
            sample_seed=self.dataloader.keys.seed if isinstance(self.dataloader, SeededDataLoader) else None,
            sampler_seed=getattr(self._sampler, "seed", None),
        )

    def restore(
        self, progress: Mapping[str, Any], random_state: Mapping[str, Any] | None, world_size: tuple[int, int]
    ) -> None:
        """Restore the position in the data after :meth:`progress`; the epoch and iteration are set already.

        ``random_state`` is that of this rank, or None to keep the current one; ``world_size`` the number of processes
        when the checkpoint was written, and now.
        """
        self.restored = True
        self.data_epoch = progress["data_epoch"]
        self.batches_done = progress["batches_done"] * world_size[0] // world_size[1]
        self.validated = progress["validated"]
        self._random_state = random_state
        # Without a configured seed, these were built with a random one.
        if isinstance(self.dataloader, SeededDataLoader) and progress["sample_seed"] is not None:
            self.dataloader.keys.seed = progress["sample_seed"]
        if progress["sampler_seed"] is not None and hasattr(self._sampler, "seed"):
            self._sampler.seed = progress["sampler_seed"]

    @property
    def _sampler(self) -> Any:
        batches = self.dataloader.batch_sampler
        return self.dataloader.sampler if batches is None else getattr(batches, "sampler", batches)

    def _remaining_batches(self) -> Iterator[Any]:
        """The remaining batches of this pass through the data."""
        if isinstance(self.dataloader, SeededDataLoader):
            return self.dataloader.read(self.data_epoch, self.batches_done)
        return itertools.islice(iter(self.dataloader), self.batches_done, None)

    def _restore_random_state(self) -> None:
        if self._random_state is not None:
            set_random_state(unwrapped(self.runner.model), self._random_state)
            self._random_state = None

    def _position_unknown(self) -> bool:
        """Whether the run was resumed without restoring the position in the data."""
        if self.restored or not self.iter:
            return False
        self.runner.logger.warning(
            "This resume is not exact: only ExactCheckpointHook restores random state and position in the data."
        )
        return True

    def _validate(self, now: int, last: int) -> None:
        """Validate if it is due at epoch or iteration ``now`` of ``last``."""
        self._decide_current_val_interval()
        due = now >= self.val_begin and (now % self.val_interval == 0 or now == last)
        # Set before, because checkpoints are written at the end of the validation too.
        self.validated = True
        if due and self.runner.val_loop is not None:
            self.runner.val_loop.run()


@LOOPS.register_module()
class ExactEpochBasedTrainLoop(ExactLoop, EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop``, with its arguments, resumed exactly also within an epoch.

    If a validation was due when the checkpoint was written, the resumed run starts with it.
    """

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook("before_train")
        if self._position_unknown():
            self.batches_done = min(max(0, self._iter - self._epoch * len(self.dataloader)), len(self.dataloader))
        elif not self.batches_done and not self.validated:
            self._restore_random_state()
            self._validate(self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate(self._epoch, self._max_epochs)
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for an epoch, or for the rest of it."""
        self.data_epoch = self._epoch
        # Hooks may draw random numbers in before_train_epoch: after a checkpoint between epochs, before one within.
        if not self.batches_done:
            self._restore_random_state()
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        batches = self._remaining_batches()
        self._restore_random_state()
        for number, batch in enumerate(batches, self.batches_done):
            self.run_iter(number, batch)
            self.batches_done = number + 1
        self.batches_done, self.validated = 0, False
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


@LOOPS.register_module()
class ExactIterBasedTrainLoop(ExactLoop, IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop``, with its arguments, resumed exactly; with any sampler, infinite or not."""

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook("before_train")
        # For hooks, the whole training is one epoch.
        self.runner.call_hook("before_train_epoch")
        if self._position_unknown():
            endless = isinstance(self._sampler, InfiniteSampler)
            position = (0, self._iter) if endless else divmod(self._iter, len(self.dataloader))
            self.data_epoch, self.batches_done = position
        self._restore_random_state()
        if not self.validated:
            self._validate(self._iter, self._max_iters)
        batches = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            self.batches_done += 1
            self.validated = False
            self._validate(self._iter, self._max_iters)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _batches(self) -> Iterator[Any]:
        """Batches without end, in repeated passes through the data."""
        while True:
            if hasattr(self._sampler, "set_epoch"):
                self._sampler.set_epoch(self.data_epoch)
            yield from self._remaining_batches()
            if not self.batches_done:
                raise ValueError("the training data should give at least one batch, got none; check its filters")
            self.data_epoch += 1
            self.batches_done = 0
