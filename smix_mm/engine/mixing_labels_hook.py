"""A hook that stops a training whose config asks for mixing that mmpretrain would not do."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ..utils.errors import UsageError
from ..utils.random_state import unwrapped


@HOOKS.register_module()
class MixingLabelsHook(Hook):
    """Look at the labels of the first batch.

    mmpretrain's data preprocessor mixes samples that have a label or a score of their own. Samples of
    several tasks, or without labels, it hands on as they are, without a word. ``tools/train.py`` adds
    this hook to every training.

    Raises:
        UsageError: ``batch_augments`` is set, and the first batch would not be mixed.
    """

    def __init__(self) -> None:
        self.looked = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look once."""
        if self.looked:
            return
        self.looked = True
        # MMDetection's batch_augments pad and resize, and are no such wrapper.
        augments = getattr(getattr(unwrapped(runner.model), "data_preprocessor", None), "batch_augments", None)
        if type(augments).__name__ != "RandomBatchAugment":
            return
        samples = data_batch.get("data_samples") if isinstance(data_batch, dict) else None
        if isinstance(samples, Tensor):
            return
        first = samples[0] if samples else None
        if first is None or not any(name in first for name in ("gt_label", "gt_score")):
            raise UsageError(
                f"data_preprocessor.batch_augments is set, but the data set gives {_named(first)}, which mmpretrain "
                "does not mix and does not say so; wanted samples with one gt_label or gt_score: take batch_augments "
                "out of the config, or use a data set with one set of labels"
            )


def _named(sample: Any) -> str:
    return "no labels" if sample is None else f"a {type(sample).__name__} without gt_label"
