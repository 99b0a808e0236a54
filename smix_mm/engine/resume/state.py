"""The state that an exact resume needs in addition to mmengine's checkpoints."""

from __future__ import annotations

from typing import Any, Mapping

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import EarlyStoppingHook
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from ...utils.models import unwrapped
from ...utils.random_state import get_random_state
from .loops import ExactLoop

KEY = "smix_resume"


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
