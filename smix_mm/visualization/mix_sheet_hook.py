"""A hook that shows during training how batches are mixed."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..mixing import MixOptions, draw_mix
from ..utils.models import unwrapped


@HOOKS.register_module()
class MixSheetHook(Hook):
    """Put a sheet of mixed images into the visualizer every few epochs.

    It shows what the run's own SaliencyMix, OfficialSaliencyMix or CutMix makes of the first
    images of the epoch's first batch: source, its saliency map with the box, target, result, λ
    and both labels. The sheet goes wherever the run's ``vis_backends`` write: local files,
    TensorBoard, WandB. Training is not changed by it: the partners and λ shown are drawn for the
    sheet from generators of its own, and every other one is left as it was.

    Args:
        interval: epochs from one sheet to the next, at least 1; the first epoch has one. Defaults to 1.
        number: rows at most, at least 1. Defaults to 4.
        name: of the image in the visualizer. Defaults to ``'mix_sheet'``.

    Raises:
        ValueError: ``interval`` or ``number`` is less than 1; or, at the start of training, the
            run mixes with none of those three.
    """

    # After all that prepares a batch.
    priority = "LOW"

    def __init__(self, interval: int = 1, number: int = 4, name: str = "mix_sheet") -> None:
        if min(interval, number) < 1:
            raise ValueError(f"interval is {interval} and number {number}; wanted both at least 1")
        self.interval = interval
        self.number = number
        self.name = name

    def before_train(self, runner: Runner) -> None:
        """Refuse a run whose mixing cannot be shown."""
        from .mixes import find_augment

        preprocessor = _preprocessor(runner)
        if not hasattr(preprocessor, "batch_augments") or find_augment(preprocessor)[0] is None:
            raise ValueError(
                "MixSheetHook found no mixing to show; wanted SaliencyMix, OfficialSaliencyMix or CutMix in "
                "data_preprocessor.batch_augments, or no MixSheetHook in custom_hooks"
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None) -> None:
        """Draw the sheet at the first batch of an epoch, in the first process alone."""
        if batch_idx != 0 or runner.epoch % self.interval or runner.rank != 0 or data_batch is None:
            return
        image = self.sheet(runner, data_batch)
        if image is None:
            runner.logger.warning(f"{self.name}: the first images of epoch {runner.epoch + 1} show no mix")
        else:
            runner.visualizer.add_image(self.name, image, step=runner.epoch + 1)

    def sheet(self, runner: Runner, data_batch: dict[str, Any]) -> Any:
        """The sheet of a batch, uint8 RGB (H, W, 3); None where no image got a patch."""
        from ..datasets.training_batches import class_names, preprocess, unnormalizer
        from ..utils.random_state import preserved_random_state
        from .examples import mix_examples
        from .mixes import find_augment, mix_batch
        from .sheet import sheet_image

        preprocessor = _preprocessor(runner)
        # A few more than rows, because an image can get itself for a partner.
        few = {key: values[: 2 * self.number + 2] for key, values in data_batch.items()}
        with preserved_random_state():
            batch = preprocess(few, preprocessor, class_names(runner.train_dataloader.dataset))
            augment, _ = find_augment(preprocessor)
            alpha = getattr(augment, "options", MixOptions()).alpha
            draw = draw_mix(len(batch.labels), alpha, torch.Generator().manual_seed(runner.epoch))
            mix = mix_batch(augment, batch.inputs, unnormalizer(preprocessor), draw, runner.epoch)
            examples = mix_examples(mix, batch.labels)[: self.number]
        return sheet_image(examples) if examples else None


def _preprocessor(runner: Runner) -> Any:
    return getattr(unwrapped(runner.model), "data_preprocessor", None)
