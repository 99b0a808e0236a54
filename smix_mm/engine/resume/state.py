"""What a checkpoint must hold beyond mmengine's own for a resume that is exact, on every rank."""

from __future__ import annotations

from typing import Any, Mapping

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import EarlyStoppingHook
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from ...utils.random_state import get_random_state, unwrapped
from .loops import ExactLoop

KEY = "smix_resume"


def collect(runner: Any, iteration: int) -> dict[str, Any]:
    """Gather the state of all ranks; every rank has to call it.

    Args:
        runner: an mmengine Runner in training.
        iteration: how many iterations the checkpoint covers.

    Returns:
        tensors and plain values: ``world_size``, ``progress`` of the loop (None for one that is not
        exact), and for each rank its random state and the gradients of an unfinished accumulation.
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
    """Hand a checkpoint's state to the train loop of this rank.

    Args:
        runner: an mmengine Runner that has loaded the checkpoint.
        saved: what :func:`collect` gave; None where the checkpoint has nothing of it.

    Returns:
        why the resume is not exact; empty where it is.
    """
    loop = runner.train_loop
    if not isinstance(loop, ExactLoop):
        return [f"the train loop {type(loop).__name__} starts a half-done epoch over; wanted ExactEpochBasedTrainLoop"]
    if saved is None or saved["progress"] is None:
        return ["the checkpoint holds no random state; wanted one that ExactCheckpointHook wrote with an exact loop"]
    progress, before, now = saved["progress"], saved["world_size"], get_world_size()
    same_ranks = before == now
    mine = saved["ranks"][get_rank()] if same_ranks else None
    loop.restore(progress, mine and mine["random"], (before, now))
    if mine:
        _restore_gradients(unwrapped(runner.model), mine["gradients"])
    reasons = []
    if not same_ranks:
        reasons.append(f"the checkpoint was written by {before} processes, this run has {now}")
    elif progress["batches_per_epoch"] != len(loop.dataloader):
        reasons.append(f"an epoch had {progress['batches_per_epoch']} batches, now it has {len(loop.dataloader)}")
    if not loop.samples_are_seeded:
        reasons.append(f"the samples of {type(loop.dataloader.dataset).__name__} cannot be seeded one by one")
    if any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks):
        reasons.append("EarlyStoppingHook counts anew")
    return reasons


def _unfinished_gradients(optim_wrapper: Any, model: nn.Module) -> dict[str, Tensor]:
    """Gradients that wait for the optimiser's step, by parameter; empty between steps."""
    wrappers = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    if all(wrapper.should_update() for wrapper in wrappers):
        return {}
    return {name: each.grad.detach().cpu() for name, each in model.named_parameters() if each.grad is not None}


def _restore_gradients(model: nn.Module, gradients: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in gradients:
                parameter.grad = torch.empty_like(parameter).copy_(gradients[name])
