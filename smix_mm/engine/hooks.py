"""Hooks that check a training before it starts, and two ways to train faster on a GPU."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import HOOKS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..transfer import prove_loaded
from ..transfer.proof import PROOF
from ..utils.errors import LoadProofError, UsageError
from ..utils.files import write_json
from ..utils.tensors import unwrapped


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
        refuse_address(checkpoint)
        proof = prove_loaded(model, checkpoint, new=self.new, unused=self.unused, prefix=prefix)
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


def refuse_address(checkpoint: str) -> None:
    """Refuse a checkpoint that is not a file, because its loading cannot be proven."""
    if "://" in checkpoint:
        raise LoadProofError(
            f"the backbone's checkpoint should be a file, got {checkpoint}, whose loading cannot be proven; "
            "download it, publish it with tools/publish_backbone.py, and use that file"
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
class ConfigScheduleHook(Hook):
    """On resume, use the config's optimizer settings and schedules in place of the checkpoint's.

    mmengine restores both from the checkpoint. With this hook, which ``--config-schedule`` of ``tools/train.py`` adds,
    every setting of the parameter groups is the config's, and the learning rate is the one that the config's
    schedules have after as many epochs and iterations as were trained. Momentum buffers, weights and counters are
    still the checkpoint's. Not meant for exact resumes.

    Raises:
        UsageError: there are several optimizers, or other parameter groups than in the checkpoint.
    """

    priority = "VERY_HIGH"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Exchange the settings in ``checkpoint`` before the runner restores from it."""
        if "optimizer" not in checkpoint:
            return
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise UsageError("--config-schedule is for one optimizer, got several; resume without it")
        groups, saved = runner.optim_wrapper.param_groups, checkpoint["optimizer"]["param_groups"]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved]:
            raise UsageError(
                f"the config makes {len(groups)} parameter groups, and the checkpoint has {len(saved)}, or of other "
                "sizes; --config-schedule needs the same model and paramwise_cfg"
            )
        schedulers = runner.param_schedulers or []
        before = [scheduler.state_dict() for scheduler in schedulers]
        rates = [group["lr"] for group in groups]
        for scheduler in schedulers:
            steps = checkpoint["meta"]["epoch" if scheduler.by_epoch else "iter"]
            with warnings.catch_warnings():
                # torch's reminder to step the optimizer first; nothing is trained here.
                warnings.simplefilter("ignore")
                for _ in range(steps):
                    scheduler.step()
        for group, old in zip(groups, saved):
            old.update({name: value for name, value in group.items() if name != "params"})
        checkpoint["param_schedulers"] = [scheduler.state_dict() for scheduler in schedulers]
        runner.logger.info(
            "Resume: learning rate, schedules and optimizer settings are the config's; the learning rate is now "
            f"{', '.join(f'{rate:g}' for rate in dict.fromkeys(group['lr'] for group in groups))}."
        )
        # The runner restores both from the checkpoint next.
        for scheduler, state in zip(schedulers, before):
            scheduler.load_state_dict(state)
        for group, rate in zip(groups, rates):
            group["lr"] = rate


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
