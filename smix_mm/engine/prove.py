"""The load proof of a config, without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from torch import nn

from ..datasets.check.splits import type_name
from ..transfer.checkpoint import read_checkpoint, state_dict_of
from ..transfer.proof import prove_loaded
from ..utils.errors import LoadProofError
from ..utils.text import first_few
from .hooks import LoadProofHook, checkpoint_of, refuse_address
from .launch import build_model, load_config


def prove(
    config: str | Path, checkpoint: str | Path | None = None, cfg_options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Build a config's model on the CPU, load weights as a training does, and compare every backbone tensor.

    Names that only the model or only the checkpoint may have are taken from the config's :class:`LoadProofHook`.

    Args:
        config: A detector's config, see :func:`~smix_mm.utils.config.find_config`.
        checkpoint: The published backbone. Defaults to the one in the ``init_cfg`` of the config's backbone.
        cfg_options: Settings that override the config's, by dotted name.

    Returns:
        ``checkpoint``, and what :func:`~smix_mm.transfer.prove_loaded` returns.

    Raises:
        UsageError: The config does not exist.
        LoadProofError: The config names no checkpoint, or one with other names, or the model differs from it.
        FileNotFoundError: The checkpoint does not exist.
        CheckpointError: The checkpoint cannot be read.
    """
    cfg = load_config(config, None, cfg_options, "none")
    if checkpoint is not None and cfg.model.get("backbone"):
        # Not an option, because mmengine does not merge a dict into None.
        before = cfg.model.backbone.get("init_cfg")
        kept = before if isinstance(before, dict) else {}
        cfg.model.backbone.init_cfg = {**kept, "type": "Pretrained", "checkpoint": str(checkpoint)}
    model = build_model(cfg)
    file, prefix = checkpoint_of(model)
    refuse_address(file)
    if not Path(file).is_file():
        raise FileNotFoundError(f"checkpoint {file} does not exist; publish one with tools/publish_backbone.py")
    _check_names(model.backbone, file, prefix)
    model.init_weights()
    hooks = [hook for hook in cfg.get("custom_hooks") or [] if type_name(hook) == LoadProofHook.__name__]
    names = {key: hooks[0].get(key, ()) for key in ("new", "unused")} if hooks else {}
    names["dataloader"] = cfg.get("train_dataloader")
    return dict(checkpoint=file, **prove_loaded(model, file, prefix=prefix, **names))


def _check_names(backbone: nn.Module, file: str, prefix: str) -> None:
    """Refuse a file without a name of the backbone; of a wrong prefix, mmengine raises an AssertionError."""
    given = state_dict_of(read_checkpoint(file))
    start = f"{prefix.rstrip('.')}." if prefix else ""
    names = [f"{start}{name}" for name in backbone.state_dict()]
    if isinstance(given, Mapping) and given and names and not any(name in given for name in names):
        starts = first_few(list(dict.fromkeys(str(name).partition(".")[0] for name in given)), 3)
        raise LoadProofError(
            f"{file} should hold the backbone's tensors under names such as {names[0]}, got names that begin with "
            f"{starts}; publish the backbone with tools/publish_backbone.py, or set model.backbone.init_cfg=dict("
            "type='Pretrained', checkpoint=..., prefix='backbone.') for a file of a whole model, without prefix for a "
            "published one"
        )
