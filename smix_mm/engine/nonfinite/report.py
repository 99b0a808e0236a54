"""What a stopped run reports of its losses, its weights, and the checkpoint to go on from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Mapping

import torch
from torch import Tensor, nn

from ...transfer.checkpoint import read_checkpoint
from ...utils.errors import CheckpointError
from ...utils.files import atomic_path, newest_first
from ...utils.text import first_few
from .values import is_finite, trained_weights

_SHOWN = 8


def describe(found: list[dict[str, Any]], blame: bool = True) -> str:
    """Describe which losses are not finite, on which rank, and if ``blame``, for which files."""
    parts = []
    for each in found:
        if each["bad"]:
            # The sum is last, unlike in the log, because a part is the cause.
            names = sorted((name for name in each["losses"] if "loss" in name), key=lambda name: name == "loss")
            bad = [f"{name} is {each['losses'][name]}" for name in names if not math.isfinite(each["losses"][name])]
            where = f" on rank {each['rank']}" if len(found) > 1 else ""
            hint = f" (check {first_few(each['suspects'], _SHOWN)})" if each["suspects"] else ""
            files = f" for {first_few(each['files'], _SHOWN)}{hint}" if blame else ""
            parts.append(f"{', '.join(bad) or 'their sum is not'}{where}{files}")
    return "; ".join(parts)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the weights for a replay, if that is possible."""
    try:
        with atomic_path(path) as temporary:
            torch.save(model.state_dict(), temporary)
    except (OSError, RuntimeError):
        pass  # the message that follows is more important


def list_newest(folder: Path) -> list[str]:
    """The checkpoints of a folder, the newest first."""
    return [str(path) for path in newest_first(folder.glob("*.pth")) if not path.name.startswith(".")]


def read_weights(file: str, own: dict[str, Tensor], iteration: int) -> dict[str, Tensor] | None:
    """The trained weights of a checkpoint to resume from.

    None if they are not finite or not of this model, or after ``iteration``, which an earlier run wrote.
    """
    try:
        content = read_checkpoint(file)
        state = trained_weights(content)
    except (CheckpointError, OSError, AttributeError):
        return None
    fits = all(getattr(state.get(name), "shape", None) == value.shape for name, value in own.items())
    finite = fits and all(is_finite(state[name]) for name in own)
    written = (content.get("meta") or {}).get("iter")
    later = isinstance(written, int) and written > iteration
    return state if finite and not later and "optimizer" in content else None


def advise(cfg: Mapping[str, Any], bad: list[str], good: str | None) -> str:
    """How to go on when the weights are the cause.

    Args:
        cfg: The run's config.
        bad: Names of the parameters that are not finite.
        good: The checkpoint to go on from; None if there is none.
    """
    reason = f"were not finite before it ({first_few(bad, _SHOWN)})" if bad else "give no normal loss of other images"
    rate = ((cfg.get("optim_wrapper") or {}).get("optimizer") or {}).get("lr")
    smaller = f"{rate / 10:g}" if isinstance(rate, (int, float)) else "..."
    smaller = f"--cfg-options optim_wrapper.optimizer.lr={smaller}"
    if good is None:
        then = f", and there is no good one: start again with a smaller learning rate ({smaller}), or with clip_grad"
    else:
        then = f"; the last good one is {good}: go on with a smaller learning rate, --resume {good} --config-schedule"
        then += f" {smaller}"
    return f"the weights {reason}, so no checkpoint is saved{then}"
