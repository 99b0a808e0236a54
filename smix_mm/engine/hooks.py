"""Hooks that check a training before it starts, and two ways to train faster on a GPU."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..datasets.check.voc import usable_box
from ..transfer import prove_loaded
from ..transfer.proof import PROOF, describe_proof
from ..utils.errors import DataError, LoadProofError, UsageError
from ..utils.files import write_json
from ..utils.models import unwrapped
from ..utils.text import first_few

_FILES_SHOWN = 5


@HOOKS.register_module()
class LoadProofHook(Hook):
    """Prove before the first iteration that the model starts from the weights of its checkpoint.

    mmengine only warns about weights that do not fit, and then trains from random ones. The result is written to
    ``load_proof.json`` in the work dir. A resumed run is not checked.

    Args:
        checkpoint: File with the published backbone. Defaults to None, for the one in the backbone's ``init_cfg``.
        new, unused: See :func:`~smix_mm.transfer.prove_loaded`.

    Raises:
        LoadProofError: The weights differ, or no checkpoint is given.
    """

    def __init__(self, checkpoint: str | None = None, new: Sequence[str] = (), unused: Sequence[str] = ()) -> None:
        self.checkpoint = checkpoint
        self.new = tuple(new)
        self.unused = tuple(unused)

    def before_train(self, runner: Runner) -> None:
        """Compare every backbone tensor with the checkpoint's."""
        # Not `_resume`, which is also set if --resume found no checkpoint.
        if runner.iter > 0:
            runner.logger.info("Load proof: not checked, because the run was resumed.")
            return
        model = unwrapped(runner.model)
        checkpoint, prefix = (self.checkpoint, "") if self.checkpoint else checkpoint_of(model)
        if "://" in checkpoint:
            raise LoadProofError(
                f"the backbone's checkpoint should be a file, got {checkpoint}, whose loading cannot be proven; "
                "download it, publish it with tools/publish_backbone.py, and use that file"
            )
        prove_loaded(model, checkpoint, new=self.new, unused=self.unused, prefix=prefix)
        proof = describe_proof(model, checkpoint, prefix=prefix)
        if runner.rank == 0:
            write_json(Path(runner.work_dir) / PROOF, proof)
        runner.logger.info(f"Load proof: every backbone tensor equals that of {checkpoint}.")
        for names, meaning in (("new", "keep their initial values"), ("unused", "of the checkpoint are not used")):
            if proof.get(names):
                runner.logger.info(f"Load proof: {', '.join(proof[names])} {meaning}, as configured.")
        if "not_compared" in proof:
            runner.logger.warning(
                f"Load proof: the checkpoint does not record its {', '.join(proof['not_compared'])}, so they could "
                "not be compared with the detector's; see the options of tools/publish_backbone.py."
            )


def checkpoint_of(model: nn.Module) -> tuple[str, str]:
    """The checkpoint and the prefix in the init_cfg of a model's backbone."""
    init_cfg = getattr(getattr(model, "backbone", None), "init_cfg", None)
    for choice in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
        if choice and choice.get("type") == "Pretrained":
            return choice["checkpoint"], choice.get("prefix") or ""
    raise LoadProofError(
        "the backbone names no checkpoint; set model.backbone.init_cfg=dict(type='Pretrained', "
        "checkpoint='backbone.pth'), or LoadProofHook(checkpoint=...)"
    )


@HOOKS.register_module()
class BoxCheckHook(Hook):
    """Check all training boxes before the first iteration.

    The box loss takes the logarithm of a box's width and height. Boxes without area that are removed from training
    (by ``filter_cfg=dict(bbox_min_size=1)``, or by ``SanitizeBoxes``, which ``tools/train.py`` adds) are reported in
    a warning with their files; any other box without area is an error.

    Args:
        quiet: Whether to omit the warning, as :func:`~smix_mm.datasets.check.strict.make_strict` has already given
            it. Defaults to False.

    Raises:
        DataError: A box without area would be trained on; the message names its files.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def before_train(self, runner: Runner) -> None:
        """Count the boxes without area that are removed and those that are not."""
        removed: dict[str, int] = {}
        used: dict[str, int] = {}
        for dataset in _leaf_datasets(runner.train_dataloader.dataset):
            steps = getattr(getattr(dataset, "pipeline", None), "transforms", ())
            sanitized = any(type(step).__name__ == "SanitizeBoxes" for step in steps)
            for info in _annotations(dataset):
                for instance in info["instances"]:
                    # The image size in an annotation can be wrong; SanitizeBoxes checks the actual one.
                    if not usable_box(instance["bbox"], (float("inf"), float("inf"))):
                        files = removed if sanitized or instance.get("ignore_flag") else used
                        name = str(info.get("xml_path") or info.get("img_path"))
                        files[name] = files.get(name, 0) + 1
        if used:
            raise DataError(
                f"{_counted(used)} would turn the loss into NaN; fix the files, or set "
                "filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1) in the training dataset"
            )
        if removed and not self.quiet:
            runner.logger.warning(f"{_counted(removed)}; not used for training.")


def _leaf_datasets(dataset: Any) -> Iterator[Any]:
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from _leaf_datasets(part)
    elif hasattr(dataset, "dataset"):
        yield from _leaf_datasets(dataset.dataset)
    elif hasattr(dataset, "get_data_info"):
        yield dataset


def _annotations(dataset: Any) -> Iterator[dict[str, Any]]:
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if "instances" not in info:
            return
        yield info


def _counted(files: dict[str, int]) -> str:
    boxes = sum(files.values())
    return f"{boxes} {'box' if boxes == 1 else 'boxes'} without area in {first_few(sorted(files), _FILES_SHOWN)}"


@HOOKS.register_module()
class MixingLabelsHook(Hook):
    """Check that the labels of the first batch can be mixed.

    mmpretrain's data preprocessor mixes samples with ``gt_label`` or ``gt_score``. It silently leaves others
    unmixed, such as those of several tasks or without labels. ``tools/train.py`` adds this hook.

    Raises:
        UsageError: ``batch_augments`` is set, and the first batch would not be mixed.
    """

    def __init__(self) -> None:
        self.checked = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check the first batch."""
        if self.checked:
            return
        self.checked = True
        # MMDetection's batch_augments pad and resize, and are of another class.
        augments = getattr(getattr(unwrapped(runner.model), "data_preprocessor", None), "batch_augments", None)
        if type(augments).__name__ != "RandomBatchAugment":
            return
        samples = data_batch.get("data_samples") if isinstance(data_batch, dict) else None
        if isinstance(samples, Tensor):
            return
        first = samples[0] if samples else None
        if first is None or not any(name in first for name in ("gt_label", "gt_score")):
            given = "no labels" if first is None else f"a {type(first).__name__} without gt_label"
            raise UsageError(
                f"with data_preprocessor.batch_augments, samples should have one gt_label or gt_score, got {given}, "
                "which mmpretrain does not mix; use a dataset with one set of labels, or remove batch_augments"
            )


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store the weights of convolutions in the memory format ``channels_last``, the fastest for tensor cores.

    The values do not change. With several processes torch warns once that the strides of gradients and of its buckets
    differ, because the model was wrapped before. The gradients are correct, but copied once more.
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the weights."""
        runner.model.to(memory_format=torch.channels_last)


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """mmengine's ``OptimWrapper`` with the forward pass under autocast to bfloat16.

    Weights, optimizer state and checkpoints stay float32. bfloat16 has the exponent range of float32, so the loss is
    not scaled. Works on a CPU too, unlike ``AmpOptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a training step's forward pass."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
