"""A hook that shows during training how batches are mixed."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..datasets.training_batches import class_names, preprocess, unnormalizer
from ..utils.choices import check_minimum
from ..utils.errors import UsageError
from ..utils.random_state import preserved_random_state
from ..utils.tensors import unwrapped
from .browse import mix_examples
from .mixes import find_augment
from .sheet import sheet_image


@HOOKS.register_module()
class MixSheetHook(Hook):
    """Add a sheet of mixed images to the visualizer every few epochs.

    The sheet shows how the SaliencyMix, OfficialSaliencyMix or CutMix of the training mixes the first images of the
    epoch's first batch: source, saliency map with the box, target, mixed image, λ and both labels. It goes to all
    ``vis_backends``: local files, TensorBoard, WandB. The training does not change: partners and λ of the sheet come
    from separate generators, and every other generator's state is restored.

    Args:
        interval: epochs from one sheet to the next, at least 1; the first epoch has one. Defaults to 1.
        number: maximum number of rows, at least 1. Defaults to 4.
        name: name of the image in the visualizer. Defaults to ``'mix_sheet'``.

    Raises:
        ValueError: ``interval`` or ``number`` is less than 1.
        UsageError: at the start of training, the config mixes with none of those three.
    """

    # After all hooks that prepare a batch.
    priority = "LOW"

    def __init__(self, interval: int = 1, number: int = 4, name: str = "mix_sheet") -> None:
        check_minimum("interval", interval, 1)
        check_minimum("number", number, 1)
        self.interval, self.number, self.name = interval, number, name

    def before_train(self, runner: Runner) -> None:
        """Raise a UsageError if the mixing cannot be shown."""
        preprocessor = getattr(unwrapped(runner.model), "data_preprocessor", None)
        if not hasattr(preprocessor, "batch_augments") or find_augment(preprocessor)[0] is None:
            raise UsageError(
                "MixSheetHook found no mixing to show: data_preprocessor.batch_augments should contain SaliencyMix, "
                "OfficialSaliencyMix or CutMix. Otherwise remove MixSheetHook from custom_hooks."
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None) -> None:
        """Draw the sheet at the first batch of an epoch, in the first process only."""
        if batch_idx != 0 or runner.epoch % self.interval or runner.rank != 0 or data_batch is None:
            return
        preprocessor = unwrapped(runner.model).data_preprocessor
        augment, _ = find_augment(preprocessor)
        # A few more images than rows, because the partner of an image can be itself.
        few = {key: values[: 2 * self.number + 2] for key, values in data_batch.items()}
        generator = torch.Generator().manual_seed(runner.epoch)
        with preserved_random_state():
            batch = preprocess(few, preprocessor, class_names(runner.train_dataloader.dataset))
            undo = unnormalizer(preprocessor, runner.cfg.get("train_dataloader"))
            examples = mix_examples(augment, batch, undo, generator, runner.epoch)
        if examples:
            runner.visualizer.add_image(self.name, sheet_image(examples[: self.number]), step=runner.epoch + 1)
        else:
            runner.logger.warning(
                f"{self.name}: no sheet for epoch {runner.epoch + 1}, because none of the images was mixed with another"
            )
