"""A hook that sees a loss that is NaN or infinite before the backward pass."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, broadcast_object_list
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ...transfer.checkpoint import read_checkpoint
from ...utils.choices import NONFINITE_ACTIONS
from ...utils.errors import CheckpointError, NonFiniteError, UsageError
from ...utils.files import atomic_path, write_text
from ...utils.random_state import get_random_state
from ..failures import RESUME
from ..resume.state import KEY, collect
from .batch_file import image_files, write_batch
from .iteration_start import IterationStart
from .replay import as_floats, bad_parameters, suspects

SKIPPED = "nonfinite_skipped"
"""The message hub's name for the list of skipped iterations, counted from 1; checkpoints carry it."""

_SHOWN = 8


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop at a non-finite loss, or leave its batch out, before it can touch the weights.

    The loss is looked at between forward and backward pass, and all processes agree on it. What
    the forward pass has already moved, the running statistics of norms and every other buffer, is
    put back. Parameters that a model moves in its forward pass itself (momentum encoders) are not.

    With ``'stop'`` the state before the iteration is saved as ``iter_N.pth``, which ``--resume``
    finds (it meets the same batch again: fixed, or left out with ``'skip'``), each process
    leaves its batch in ``nonfinite/iter_N+1_rankR.pt`` for ``tools/replay_batch.py``, and
    :class:`~smix_mm.engine.failures.NonFiniteError` names iteration, losses and files. Where the
    weights themselves are not finite any more, no checkpoint is saved, and the message names the
    newest that is good.

    With ``'skip'`` the iteration counts and the schedule goes on, but no step is taken. Of a group
    of accumulated gradients the bad part is left out, or the whole group where the bad part would
    have completed it. The run stops all the same when the weights are not finite, or at the
    ``patience``-th bad iteration in a row.

    Args:
        action: ``'stop'`` or ``'skip'``. Defaults to ``'stop'``.
        patience: with ``'skip'``, the number of bad iterations in a row that stops the run.
            Defaults to 20.

    Raises:
        ValueError: an argument has none of these values.
    """

    # Last, so that what other hooks do before an iteration belongs to the kept state.
    priority = "LOWEST"

    def __init__(self, action: str = "stop", patience: int = 20) -> None:
        if action not in NONFINITE_ACTIONS:
            raise ValueError(f"action is {action!r}; wanted 'stop' or 'skip'")
        if patience < 1:
            raise ValueError(f"patience is {patience}; wanted at least 1")
        self.action = action
        self.patience = patience
        self.in_a_row = 0
        self.log_vars: dict[str, Tensor] = {}
        self.resume_state: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Put the look at the loss between the forward and the backward pass."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper) or isinstance(wrapper, OptimWrapperDict):
            raise UsageError(
                f"NonFiniteHook was given, but the config trains with {type(wrapper).__name__}; wanted one optimiser, "
                "whose one loss an iteration can be left out: take the hook out of the config"
            )
        self.model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.start = IterationStart(self.model)
        self.parse_losses, self.update_params = self.model.parse_losses, wrapper.update_params
        self.model.parse_losses = self._remember
        wrapper.update_params = partial(self._guard, runner)

    def after_train(self, runner: Runner) -> None:
        """Take the look out again, and say how many iterations were left out."""
        self.model.parse_losses, runner.optim_wrapper.update_params = self.parse_losses, self.update_params
        skipped = runner.message_hub.runtime_info.get(SKIPPED, [])
        if skipped:
            runner.logger.warning(
                f"{len(skipped)} of {runner.max_iters} iterations were left out because their loss was not finite: "
                f"{_listed(skipped)}."
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep what the iteration is about to change, as it is now."""
        self.log_vars = {}
        self.start.take(data_batch)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add all ranks' random state and place in the data to the checkpoint of a stop."""
        if self.resume_state is not None:
            checkpoint[KEY] = self.resume_state

    def _remember(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        total, self.log_vars = self.parse_losses(losses)
        return total, self.log_vars

    def _guard(self, runner: Runner, loss: Tensor, *arguments: Any, **options: Any) -> None:
        """Stands in for the optimiser wrapper's ``update_params``."""
        if _finite_everywhere(loss):
            self.in_a_row = 0
            self.update_params(loss, *arguments, **options)
            return
        self.start.restore_buffers()
        self.in_a_row += 1
        bad = bad_parameters(self.model)
        files = image_files(self.start.batch)
        found = dict(
            rank=runner.rank,
            bad=not bool(torch.isfinite(loss).all()),
            losses=as_floats(self.log_vars),
            files=files,
            suspects=list(suspects(self.start.batch, files)),
        )
        if self.action == "skip" and not bad and self.in_a_row < self.patience:
            self._skip(runner, all_gather_object(found))
        else:
            self._stop(runner, found, bad)

    def _skip(self, runner: Runner, found: list[dict[str, Any]]) -> None:
        wrapper = runner.optim_wrapper
        # As if the backward pass had been done, for the count of accumulated gradients.
        wrapper._inner_count += 1
        if wrapper.should_update():
            # Only the pass that completes a group sums gradients over the processes.
            wrapper.zero_grad()
        skipped = runner.message_hub.runtime_info.get(SKIPPED, [])
        runner.message_hub.update_info(SKIPPED, [*skipped, runner.iter + 1])
        # The same dict goes to the log, whose means one NaN would spoil for a whole window.
        self.log_vars.clear()
        runner.logger.warning(f"Iteration {runner.iter + 1} is left out: {_what(found)}.")

    def _stop(self, runner: Runner, found: dict[str, Any], bad: list[str]) -> None:
        # The checkpoint must hold the random state of the iteration's beginning.
        self.start.restore_random_state()
        found["replay"] = self._save_batch(runner, found["losses"], bad)
        everyone = all_gather_object(found)
        self.resume_state = collect(runner, runner.iter)
        state: list[str | None] = [None]
        if runner.rank == 0:
            state = [_last_good(runner, bad) if bad else _save_checkpoint(runner)]
        # The other processes wait here, so that none ends before the checkpoint is whole.
        broadcast_object_list(state)
        often = f", bad as the {self.in_a_row - 1} before it," if self.in_a_row > 1 else ""
        epoch = f" (epoch {runner.epoch + 1})" if runner.max_epochs > 1 else ""
        message = (
            f"iteration {runner.iter + 1}{epoch}{often} has no finite loss: {_what(everyone)}; "
            f"{state[0]}; {next(each for each in everyone if each['bad'])['replay']}"
        )
        runner.logger.error(message)
        raise NonFiniteError(message)

    def _save_batch(self, runner: Runner, losses: dict[str, float], bad: list[str]) -> str:
        """Write this process's batch, and say how it is run again."""
        path = Path(runner.work_dir) / "nonfinite" / f"iter_{runner.iter + 1}_rank{runner.rank}.pt"
        random_state = get_random_state(self.model)
        if random_state["cuda"]:
            # A replay has one GPU, whichever this is.
            random_state["cuda"] = [random_state["cuda"][torch.cuda.current_device()]]
        about = dict(
            iteration=runner.iter + 1,
            rank=runner.rank,
            losses=losses,
            bad_parameters=bad,
            checkpoint=None if bad else str(_checkpoint_path(runner)),
            config=Path(runner.cfg.filename).name if runner.cfg.filename else f"{runner.timestamp}.py",
            threads=torch.get_num_threads(),
        )
        try:
            write_batch(path, self.start.batch, random_state, **about)
        except (OSError, RuntimeError, TypeError) as error:
            return f"its batch could not be saved for replay ({_first_line(error)})"
        return f"`python tools/replay_batch.py {path}` runs its batch again"


def _finite_everywhere(loss: Tensor) -> bool:
    """Whether the losses of all processes are finite; every process gets the same answer."""
    bad = torch.isfinite(loss.detach()).all().logical_not().to(torch.int32)
    all_reduce(bad, "max")
    # This waits for the forward pass. mmengine reads every loss for its log at the iteration's end
    # anyway; what is lost is that a GPU's backward pass is prepared while the forward one runs.
    return not bool(bad)


def _what(found: list[dict[str, Any]]) -> str:
    """Which losses are not finite, in which process, and with which files."""
    parts = []
    for each in found:
        if each["bad"]:
            # The sum stands first in the log; what made it so should here.
            names = sorted((name for name in each["losses"] if "loss" in name), key=lambda name: name == "loss")
            bad = [f"{name} is {each['losses'][name]}" for name in names if not math.isfinite(each["losses"][name])]
            where = f" on rank {each['rank']}" if len(found) > 1 else ""
            look = f" (look first at {_listed(each['suspects'])})" if each["suspects"] else ""
            parts.append(f"{', '.join(bad) or 'their sum is not'}{where} for {_listed(each['files'])}{look}")
    return "; ".join(parts)


def _listed(names: list[Any]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more


def _checkpoint_path(runner: Runner) -> Path:
    folders = [hook.out_dir for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    return Path([*folders, runner.work_dir][0]) / f"iter_{runner.iter}.pth"


def _save_checkpoint(runner: Runner) -> str:
    """Save the state before this iteration where ``--resume`` looks, and say so."""
    path = _checkpoint_path(runner)
    try:
        with atomic_path(path) as temporary:
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            runner.save_checkpoint(str(path.parent), temporary.name, meta=meta, by_epoch=False)
        write_text(Path(runner.work_dir) / "last_checkpoint", str(path))
    except (OSError, RuntimeError) as error:
        return f"the state before it could not be saved ({_first_line(error)}); {RESUME}"
    return f"the state before it is in {path}, where --resume goes on: fix the data, or add --on-nonfinite skip"


def _last_good(runner: Runner, bad: list[str]) -> str:
    """Say that the weights are spoilt, and which checkpoint is not."""
    said = f"the weights were not finite before it ({_listed(bad)}), so no checkpoint is saved"
    files = _checkpoint_path(runner).parent.glob("*.pth")
    for path in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            content = read_checkpoint(path)
        except CheckpointError:
            continue
        if "optimizer" in content and all(torch.isfinite(value).all() for value in content["state_dict"].values()):
            return f"{said}; the last good one is {path}: go on with --resume {path} and a smaller learning rate"
    return f"{said}, and there is no good one: start again with a smaller learning rate, or with clip_grad"


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0]
