"""Train loops that go on within an epoch, with the random numbers that an undisturbed run would have drawn."""

from __future__ import annotations

import itertools
from typing import Any, Iterator, Mapping

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from ...utils.random_state import set_random_state, unwrapped
from .sample_seeds import SeededDataLoader, seed_samples


class ExactLoop(BaseLoop):
    """What both loops share: samples with seeds of their own, the place in the data, and resuming.

    Each sample's augmentation is seeded by (seed, epoch, rank, position in the rank's epoch), so
    neither the number of workers nor their lives matter. Attributes and arguments of the
    mmengine loops stay as they are.

    Attributes:
        samples_are_seeded: False where the data loader is of a class of its own or its dataset has
            no indices; then a resume is not exact.
        data_epoch: how often the data were gone through before; what the sampler shuffles by.
        batches_done: batches of this ``data_epoch`` that the model was trained on.
        validated: whether a validation that was due after the last iteration is done.
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
        self.taken_up = False
        self._random_state: Mapping[str, Any] | None = None

    def progress(self, iteration: int) -> dict[str, Any]:
        """The place in the data, for a checkpoint.

        Args:
            iteration: how many iterations of the run the checkpoint covers: the loop's own count,
                or one more where the loop has not yet counted the one that was just made.
        """
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
        """Start where a checkpoint was written; the epoch and iteration are set already.

        Args:
            progress: what :meth:`progress` gave.
            random_state: of this rank, see :func:`~smix_mm.utils.random_state.get_random_state`; None to go
                on with the process's own.
            world_size: number of processes then and now.
        """
        self.taken_up = True
        self.data_epoch = progress["data_epoch"]
        self.batches_done = progress["batches_done"] * world_size[0] // world_size[1]
        self.validated = progress["validated"]
        self._random_state = random_state
        # A run without a configured seed built these with a seed that it made up.
        if isinstance(self.dataloader, SeededDataLoader) and progress["sample_seed"] is not None:
            self.dataloader.keys.seed = progress["sample_seed"]
        if progress["sampler_seed"] is not None and hasattr(self._sampler, "seed"):
            self._sampler.seed = progress["sampler_seed"]

    @property
    def _sampler(self) -> Any:
        batches = self.dataloader.batch_sampler
        return self.dataloader.sampler if batches is None else getattr(batches, "sampler", batches)

    def _read(self) -> Iterator[Any]:
        """The batches that the epoch still has."""
        if isinstance(self.dataloader, SeededDataLoader):
            return self.dataloader.read(self.data_epoch, self.batches_done)
        return itertools.islice(iter(self.dataloader), self.batches_done, None)

    def _restore_random_state(self) -> None:
        if self._random_state is not None:
            set_random_state(unwrapped(self.runner.model), self._random_state)
            self._random_state = None

    def _place_unknown(self) -> bool:
        """Whether the run was resumed from a checkpoint that does not say where it stood."""
        if self.taken_up or not self.iter:
            return False
        self.runner.logger.warning(
            "This resume is not exact: no ExactCheckpointHook was there to take up random state and place in the data."
        )
        return True

    def _validate(self, now: int, last: int) -> None:
        """Validate where it is due at epoch or iteration ``now`` of ``last``."""
        self._decide_current_val_interval()
        due = now >= self.val_begin and (now % self.val_interval == 0 or now == last)
        # A checkpoint that is written at the end of the validation belongs after it.
        self.validated = True
        if due and self.runner.val_loop is not None:
            self.runner.val_loop.run()


@LOOPS.register_module()
class ExactEpochBasedTrainLoop(ExactLoop, EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop``, resumed exactly also within an epoch.

    It wants :class:`~smix_mm.engine.resume.checkpoint_hook.ExactCheckpointHook` to write the checkpoints. A
    validation that was due when the checkpoint was written is made first, as the undisturbed run did.

    Args:
        runner, dataloader, max_epochs, val_begin, val_interval, dynamic_intervals: as in
            ``EpochBasedTrainLoop``.
    """

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook("before_train")
        if self._place_unknown():
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
        """Train for an epoch, or for what is left of it."""
        self.data_epoch = self._epoch
        # What hooks draw at an epoch's begin came before a checkpoint within the epoch, and after one between epochs.
        if not self.batches_done:
            self._restore_random_state()
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        batches = self._read()
        self._restore_random_state()
        for number, batch in enumerate(batches, self.batches_done):
            self.run_iter(number, batch)
            self.batches_done = number + 1
        self.batches_done, self.validated = 0, False
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


@LOOPS.register_module()
class ExactIterBasedTrainLoop(ExactLoop, IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop``, resumed exactly; with any sampler, infinite or not.

    It wants :class:`~smix_mm.engine.resume.checkpoint_hook.ExactCheckpointHook` to write the checkpoints.

    Args:
        runner, dataloader, max_iters, val_begin, val_interval, dynamic_intervals: as in
            ``IterBasedTrainLoop``.
    """

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook("before_train")
        # The whole training is one epoch to the hooks.
        self.runner.call_hook("before_train_epoch")
        if self._place_unknown():
            endless = isinstance(self._sampler, InfiniteSampler)
            place = (0, self._iter) if endless else divmod(self._iter, len(self.dataloader))
            self.data_epoch, self.batches_done = place
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
        """Batches without end, in as many rounds through the data as it takes."""
        while True:
            if hasattr(self._sampler, "set_epoch"):
                self._sampler.set_epoch(self.data_epoch)
            yield from self._read()
            if not self.batches_done:
                raise ValueError("the training data give no batch; wanted at least one: look at the dataset's filters")
            self.data_epoch += 1
            self.batches_done = 0
