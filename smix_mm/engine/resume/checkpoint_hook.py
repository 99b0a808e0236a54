"""A checkpoint hook with atomic files and the state for an exact resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Collection, Mapping

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ...transfer.proof import PROOF
from ...utils.files import atomic_path, write_text
from ...utils.random_state import get_random_state
from ...utils.tensors import unwrapped
from .config import STARTED
from .loops import ExactLoop

ATOMIC_FILES = "smix_atomic_files"
KEY = "smix_resume"
"""Key in checkpoints of the state that an exact resume needs in addition to mmengine's."""


class AtomicBackend(LocalBackend):
    """mmengine's local backend with atomic writes."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)


register_backend(ATOMIC_FILES, AtomicBackend, force=True)


class DeferredDeletes:
    """A file backend of mmengine that delays the removal of files until their replacements are complete."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.queue: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, filepath: str | Path) -> None:
        self.queue.append(str(filepath))

    def remove_now(self, keep: Collection[str | None] = ()) -> None:
        """Remove the queued files, except those in ``keep``, which were written again since."""
        queue, self.queue = self.queue, []
        for path in queue:
            if path not in keep:
                self.backend.remove(path)


@HOOKS.register_module()
class ExactCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` for runs that may be killed at any time.

    - Checkpoints and ``last_checkpoint`` are written atomically.
    - The outdated checkpoint and the previous best one are removed only after their successors are complete.
    - Checkpoints contain the random state and the unfinished gradient accumulation of every rank. With an exact
      loop (:mod:`smix_mm.engine.resume.loops`), a resumed run ends with the same weights as an uninterrupted one,
      bit for bit. If it cannot, the reason is logged.

    Args:
        **kwargs: As in ``CheckpointHook``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_backend: Any = None
        self._loaded: dict[str, Any] | None = None
        self._collected: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Prepare the folder, and restore the loaded state on a resume."""
        super().before_train(runner)
        if type(self.file_backend) is LocalBackend:
            self.backend_args = {"backend": ATOMIC_FILES}
            if is_main_process():
                for folder in (self.out_dir, runner.work_dir, Path(runner.work_dir) / "nonfinite"):
                    _remove_unfinished(Path(folder))
        self.file_backend = DeferredDeletes(self.file_backend)
        if runner.iter > 0:
            reasons = restore(runner, self._loaded)
            if reasons:
                runner.logger.warning(f"This resume is not exact: {'; '.join(reasons)}.")
            else:
                runner.logger.info(f"Resumed exactly after iteration {runner.iter}.")
        self._loaded = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the state until the training begins."""
        self._loaded = checkpoint.get(KEY)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the collected state; mmengine calls this only on the main process."""
        if self._collected is not None:
            checkpoint[KEY] = self._collected

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if self.max_keep_ckpts > 0:
            self._drop_outdated(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        self._collected = collect(runner, meta["iter"])
        try:
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        finally:
            self._collected = None
        if is_main_process():
            write_text(Path(runner.work_dir) / "last_checkpoint", str(self.last_ckpt))
        self._remove_outdated()

    def _drop_outdated(self, runner: Runner, step: int) -> None:
        """Add the new checkpoint to those to keep, and queue the one that it replaces for removal."""
        if self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step:
            return
        if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            outdated = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            )
            if is_main_process() and self.file_backend.isfile(outdated):
                self.file_backend.remove(outdated)
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        super()._save_best_checkpoint(runner, metrics)
        self._remove_outdated()

    def _remove_outdated(self) -> None:
        best = {getattr(self, "best_ckpt_path", None), *getattr(self, "best_ckpt_path_dict", {}).values()}
        self.file_backend.remove_now(keep={self.last_ckpt, *best})


# Files that a training writes with `atomic_path`.
_WRITTEN = ("*.pth", "iter_*.pt", "last_checkpoint", STARTED, PROOF)


def _remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed run has left."""
    for name in map(Path, _WRITTEN):
        for path in folder.glob(f".{name.stem}-????????{name.suffix}"):
            path.unlink(missing_ok=True)


def collect(runner: Any, iteration: int) -> dict[str, Any]:
    """Gather the state of all ranks after ``iteration`` iterations; has to be called on every rank.

    Returns:
        Tensors and plain values: ``world_size``, ``progress`` of the loop (None for one that is not
        exact), and in ``ranks`` the random state and the gradients of an unfinished accumulation of each rank.
    """
    model = unwrapped(runner.model)
    mine = dict(random=get_random_state(model), gradients=_unfinished_gradients(runner.optim_wrapper, model))
    loop = runner.train_loop
    return dict(
        world_size=get_world_size(),
        progress=loop.progress(iteration) if isinstance(loop, ExactLoop) else None,
        ranks=all_gather_object(mine),
    )


def restore(runner: Any, saved: Mapping[str, Any] | None) -> list[str]:
    """Restore the state from :func:`collect` on this rank; returns the reasons why the resume is not exact, if any."""
    loop = runner.train_loop
    if not isinstance(loop, ExactLoop):
        return [f"the train loop {type(loop).__name__} repeats an unfinished epoch; use ExactEpochBasedTrainLoop"]
    if saved is None or saved["progress"] is None:
        return ["the checkpoint has no random state; ExactCheckpointHook writes it, with an exact loop"]
    progress, before, now = saved["progress"], saved["world_size"], get_world_size()
    same_ranks = before == now
    mine = saved["ranks"][get_rank()] if same_ranks else None
    loop.restore(progress, mine and mine["random"], (before, now))
    with torch.no_grad():
        gradients = mine["gradients"] if mine else {}
        for name, parameter in unwrapped(runner.model).named_parameters():
            if name in gradients:
                parameter.grad = torch.empty_like(parameter).copy_(gradients[name])
    reasons = []
    if not same_ranks:
        reasons.append(f"the checkpoint was written by {before} processes, this run has {now}")
    elif progress["batches_per_epoch"] != len(loop.dataloader):
        reasons.append(f"an epoch had {progress['batches_per_epoch']} batches, now it has {len(loop.dataloader)}")
    if not loop.samples_are_seeded:
        reasons.append(f"the samples of {type(loop.dataloader.dataset).__name__} cannot be seeded individually")
    if any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks):
        reasons.append("EarlyStoppingHook starts counting again")
    return reasons


def _unfinished_gradients(optim_wrapper: Any, model: nn.Module) -> dict[str, Tensor]:
    """Accumulated gradients by parameter; empty right after the optimizer's step."""
    wrappers = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    if all(wrapper.should_update() for wrapper in wrappers):
        return {}
    return {name: each.grad.detach().cpu() for name, each in model.named_parameters() if each.grad is not None}
