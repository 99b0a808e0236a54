"""A hook that stops a fine-tuning whose weights did not load."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..transfer import prove_loaded
from ..transfer.proof import PROOF, describe_proof
from ..utils.errors import LoadProofError
from ..utils.files import write_json


@HOOKS.register_module()
class LoadProofHook(Hook):
    """Prove once, before the first iteration, that the model starts from its checkpoint.

    MMEngine only warns about weights that it could not place, and then trains from random
    ones. What was proven is left in the work dir as ``load_proof.json``, with the names that are
    new or unused on purpose. On resume nothing is proven: the weights are those of the resumed run.

    Args:
        checkpoint: the published backbone. Defaults to the checkpoint that the backbone's own
            ``init_cfg`` names.
        new: patterns of names that the model adds on purpose, see
            :func:`~smix_mm.transfer.prove_loaded`.
        unused: patterns of names that it leaves out on purpose.

    Raises:
        LoadProofError: the weights differ, or no checkpoint is named anywhere.
    """

    def __init__(self, checkpoint: str | None = None, new: Sequence[str] = (), unused: Sequence[str] = ()) -> None:
        self.checkpoint = checkpoint
        self.new = tuple(new)
        self.unused = tuple(unused)

    def before_train(self, runner: Runner) -> None:
        """Compare every backbone tensor with the checkpoint's."""
        # Not `_resume`: that is also set where --resume found no checkpoint and training starts afresh.
        if runner.iter > 0:
            runner.logger.info("Load proof: resumed, so the weights are those of the resumed run.")
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        checkpoint = self.checkpoint or named_checkpoint(model)
        if "://" in checkpoint:
            raise LoadProofError(
                f"the backbone's checkpoint is {checkpoint}, whose loading cannot be proven; wanted a file: "
                "download it, publish it with tools/publish_backbone.py, and name that file"
            )
        prove_loaded(model, checkpoint, new=self.new, unused=self.unused)
        proof = describe_proof(model, checkpoint)
        if runner.rank == 0:
            write_json(Path(runner.work_dir) / PROOF, proof)
        runner.logger.info(f"Load proof: every backbone tensor equals that of {checkpoint}.")
        for apart, meaning in (("new", "begin as the model makes them"), ("unused", "of the checkpoint are left out")):
            if proof.get(apart):
                runner.logger.info(f"Load proof: {', '.join(proof[apart])} {meaning}, as the config says.")
        if "not_compared" in proof:
            runner.logger.warning(
                f"Load proof: the checkpoint does not record its {', '.join(proof['not_compared'])}, so nothing shows "
                "that the detector's are the same; see the options of tools/publish_backbone.py."
            )


def named_checkpoint(model: object) -> str:
    """The checkpoint that the ``init_cfg`` of a model's backbone names."""
    init_cfg = getattr(getattr(model, "backbone", None), "init_cfg", None)
    choices = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    for choice in choices:
        if choice and choice.get("type") == "Pretrained":
            return choice["checkpoint"]
    raise LoadProofError(
        "the backbone names no checkpoint; wanted model.backbone.init_cfg=dict(type='Pretrained', "
        "checkpoint='backbone.pth'), or LoadProofHook(checkpoint=...)"
    )
