"""A hook that checks the loss for NaN and infinity before the backward pass."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ...utils.choices import NONFINITE_ACTIONS, check_option
from ...utils.command_line import RESUME
from ...utils.errors import NonFiniteError, UsageError
from ...utils.files import atomic_path, write_text
from ...utils.packages import first_line
from ...utils.random_state import get_random_state, set_random_state
from ...utils.tensors import unwrapped
from ...utils.text import first_few
from ..launch import on_main_process
from ..resume.checkpoint_hook import KEY, collect
from .batches import IterationSnapshot, copy_batch, image_files, write_batch
from .report import advise, as_floats, bad_parameters, describe, is_finite, list_newest, read_weights, suspects

SKIPPED = "nonfinite_skipped"
"""Key in the message hub, and so in checkpoints, of the list of skipped iterations, counted from 1."""

_NORMAL = 100


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stop the run at a non-finite loss, or skip its iteration, before the weights change.

    The loss is checked between the forward and the backward pass, on all processes together. Running statistics and
    all other buffers that the forward pass has changed are restored; parameters that it changes (momentum encoders)
    are not.

    With ``'stop'``, the state before the iteration is saved as ``iter_N.pth``, from which ``--resume`` continues
    with the same batch. Each process writes its batch to ``nonfinite/iter_N+1_rankR.pt`` for
    ``tools/replay_batch.py``, and :class:`~smix_mm.utils.errors.NonFiniteError` names iteration, losses and files.
    If instead the weights are the cause, because they are not finite, or because the batch before, whose loss was
    finite, has no normal loss with them either, no image is named and no weights are saved; the message names the
    newest checkpoint whose loss of that batch is normal. A loss is normal if it is finite and at most 100 times the
    run's first one.

    With ``'skip'``, the iteration counts for the schedule, but the optimizer makes no step. With accumulated gradients,
    only the gradients of this iteration are skipped, or those of the whole group if this iteration would have
    completed it. The run still stops if the weights are the cause, or after ``patience`` non-finite losses in a row.

    Args:
        action: ``'stop'`` or ``'skip'``. Defaults to ``'stop'``.
        patience: With ``'skip'``, the number of non-finite losses in a row that stops the run, at least 1.
            Defaults to 20.

    Raises:
        ValueError: An argument has none of these values.
    """

    # Last, so that the snapshot contains the changes of other hooks before the iteration.
    priority = "LOWEST"

    def __init__(self, action: str = "stop", patience: int = 20) -> None:
        check_option("action", action, NONFINITE_ACTIONS)
        if patience < 1:
            raise ValueError(f"patience should be at least 1, got {patience}")
        self.action = action
        self.patience = patience
        self.in_a_row = 0
        self.log_vars: dict[str, Tensor] = {}
        self.good_batch: Any = None
        self.resume_state: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Insert the check of the loss between the forward and the backward pass."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper) or isinstance(wrapper, OptimWrapperDict):
            raise UsageError(
                f"NonFiniteHook needs one optimizer with one loss per iteration, got {type(wrapper).__name__}; remove "
                "the hook from the config"
            )
        self.model = unwrapped(runner.model)
        self.start = IterationSnapshot(self.model)
        self.parse_losses, self.update_params = self.model.parse_losses, wrapper.update_params
        self.model.parse_losses = self._parse_losses
        wrapper.update_params = partial(self._update_params, runner)

    def after_train(self, runner: Runner) -> None:
        """Remove the check, and log how many iterations were skipped."""
        self.model.parse_losses, runner.optim_wrapper.update_params = self.parse_losses, self.update_params
        skipped = runner.message_hub.runtime_info.get(SKIPPED, [])
        if skipped:
            runner.logger.warning(
                f"{len(skipped)} of {runner.max_iters} iterations were skipped because their loss was not finite: "
                f"{first_few(skipped, 8)}."
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Save what the iteration may change before its loss is known."""
        self.log_vars = {}
        self.start.take(data_batch)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the random state and the position in the data of all ranks, at a stop."""
        if self.resume_state is not None:
            checkpoint[KEY] = self.resume_state

    def _parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        total, self.log_vars = self.parse_losses(losses)
        return total, self.log_vars

    def _update_params(self, runner: Runner, loss: Tensor, *arguments: Any, **options: Any) -> None:
        """Replaces the optimizer wrapper's ``update_params``."""
        if _finite_on_all_ranks(loss):
            self.in_a_row, self.good_batch = 0, self.start.batch
            self.update_params(loss, *arguments, **options)
            return
        self.start.restore_buffers()
        self.in_a_row += 1
        bad: list[str] = next((bad for bad in all_gather_object(bad_parameters(self.model)) if bad), [])
        # All processes together, because layers may combine their batches.
        normal = not bad and (self.good_batch is None or self._is_normal(runner, self.good_batch))
        spoilt = not min(all_gather_object(normal))
        files = image_files(self.start.batch)
        found = dict(
            rank=runner.rank,
            bad=not is_finite(loss.detach()),
            losses=as_floats(self.log_vars),
            files=files,
            suspects=list(suspects(self.start.batch, files)),
        )
        if self.action == "skip" and not spoilt and self.in_a_row < self.patience:
            self._skip(runner, all_gather_object(found))
        else:
            self._stop(runner, found, bad, spoilt)

    def _skip(self, runner: Runner, found: list[dict[str, Any]]) -> None:
        wrapper = runner.optim_wrapper
        # Count the iteration for the accumulation of gradients.
        wrapper._inner_count += 1
        if wrapper.should_update():
            # Gradients are summed over the processes only when a group is completed.
            wrapper.zero_grad()
        skipped = runner.message_hub.runtime_info.get(SKIPPED, [])
        runner.message_hub.update_info(SKIPPED, [*skipped, runner.iter + 1])
        # The same dict goes to the logger, whose windowed means would become NaN.
        self.log_vars.clear()
        runner.logger.warning(f"Iteration {runner.iter + 1} is skipped: {describe(found)}.")

    def _stop(self, runner: Runner, found: dict[str, Any], bad: list[str], spoilt: bool) -> None:
        # The checkpoint should contain the random state at the start of the iteration.
        self.start.restore_random_state()
        resume_state = collect(runner, runner.iter)
        advice = ""
        if spoilt or self.good_batch is None:
            # In a resumed run without a finite loss yet, the weights are the cause if older ones have a normal loss.
            good = self._last_good(runner)
            spoilt = spoilt or good is not None
            advice = advise(runner.cfg, bad, good)
            self.start.restore_random_state()
        found["replay"] = self._save_batch(runner, found["losses"], bad, None if spoilt else _checkpoint_path(runner))
        everyone = all_gather_object(found)
        if not spoilt:
            self.resume_state = resume_state
            # The other processes wait here, so that none ends before the checkpoint is complete.
            advice = on_main_process(lambda: _save_checkpoint(runner))
        often = f", as the {self.in_a_row - 1} before it," if self.in_a_row > 1 else ""
        epoch = f" (epoch {runner.epoch + 1})" if runner.max_epochs > 1 else ""
        message = (
            f"iteration {runner.iter + 1}{epoch}{often} has no finite loss: {describe(everyone, not spoilt)}; "
            f"{advice}; {next(each for each in everyone if each['bad'])['replay']}"
        )
        runner.logger.error(message)
        raise NonFiniteError(message)

    def _is_normal(self, runner: Runner, batch: Any) -> bool:
        """Whether the model of now has a normal loss of a batch; buffers and random states are restored."""
        random_state = get_random_state(self.model)
        with torch.no_grad(), runner.optim_wrapper.optim_context(self.model):
            data = self.model.data_preprocessor(copy_batch(batch), True)
            loss, _ = self.parse_losses(self.model._run_forward(data, mode="loss"))
        self.start.restore_buffers()
        set_random_state(self.model, random_state)
        history = runner.message_hub.log_scalars.get("train/loss")
        most = _NORMAL * abs(float(history.data[0][0])) if history is not None and len(history.data[0]) else math.inf
        return is_finite(loss) and abs(float(loss)) <= most

    def _last_good(self, runner: Runner) -> str | None:
        """The newest checkpoint with a normal loss of the last batch whose loss was finite; without one, of this batch.

        The model is left as it was.
        """
        batch = self.start.batch if self.good_batch is None else self.good_batch
        weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
        good = None
        for file in on_main_process(lambda: list_newest(_checkpoint_path(runner).parent)):
            state = on_main_process(partial(read_weights, file, weights, runner.iter))
            if state is not None:
                self._load(state)
                if min(all_gather_object(self._is_normal(runner, batch))):
                    good = file
                    break
        self._load(weights)
        return good

    def _load(self, state: dict[str, Tensor]) -> None:
        self.model.load_state_dict(state, strict=False)
        self.start.buffers = [buffer.detach().clone() for buffer in self.model.buffers()]

    def _save_batch(self, runner: Runner, losses: dict[str, float], bad: list[str], weights: Path | None) -> str:
        """Write the batch of this process; returns a phrase on how to replay it."""
        path = Path(runner.work_dir) / "nonfinite" / f"iter_{runner.iter + 1}_rank{runner.rank}.pt"
        random_state = get_random_state(self.model)
        if random_state["cuda"]:
            # Only this GPU's, since a replay uses one GPU.
            random_state["cuda"] = [random_state["cuda"][torch.cuda.current_device()]]
        about = dict(
            iteration=runner.iter + 1,
            rank=runner.rank,
            losses=losses,
            bad_parameters=bad,
            checkpoint=None if weights is None else str(weights),
            config=Path(runner.cfg.filename).name if runner.cfg.filename else f"{runner.timestamp}.py",
            threads=torch.get_num_threads(),
        )
        try:
            write_batch(path, self.start.batch, random_state, **about)
        except (OSError, RuntimeError, TypeError) as error:
            return f"its batch could not be saved for a replay ({first_line(error)})"
        if weights is None:
            return f"`python tools/replay_batch.py {path} --checkpoint FILE` replays its batch with other weights"
        return f"`python tools/replay_batch.py {path}` replays its batch"


def _finite_on_all_ranks(loss: Tensor) -> bool:
    """Whether the losses of all processes are finite, with the same result on each."""
    bad = torch.isfinite(loss.detach()).all().logical_not().to(torch.int32)
    all_reduce(bad, "max")
    # This waits for the GPU's forward pass before the backward pass is launched. mmengine waits for
    # every loss too, at the end of the iteration, for its log.
    return not bool(bad)


def _checkpoint_path(runner: Runner) -> Path:
    folders = [hook.out_dir for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    return Path([*folders, runner.work_dir][0]) / f"iter_{runner.iter}.pth"


def _save_checkpoint(runner: Runner) -> str:
    """Save the state before this iteration for ``--resume``; returns a phrase about it."""
    path = _checkpoint_path(runner)
    try:
        with atomic_path(path) as temporary:
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            runner.save_checkpoint(str(path.parent), temporary.name, meta=meta, by_epoch=False)
        write_text(Path(runner.work_dir) / "last_checkpoint", str(path))
    except (OSError, RuntimeError) as error:
        return f"the state before it could not be saved ({first_line(error)}); {RESUME}"
    return f"--resume continues from the state before it, {path}: fix the data, or add --on-nonfinite skip"
