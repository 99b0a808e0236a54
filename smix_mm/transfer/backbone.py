"""Publishing the backbone of a pretraining checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import torch
from torch import Tensor

from ..utils.choices import check_option
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.errors import CheckpointError, UsageError
from ..utils.files import atomic_path, file_hash
from ..version import __version__
from .checkpoint import literal_assignments, read_checkpoint, state_dict_hash
from .layouts import choose_weights, extract_backbone

FORMAT = "smix_mm backbone 1"
WEIGHTS = ("averaged", "raw")
_IMAGENET = dict(style="pytorch", channel_order="rgb", mean=list(IMAGENET_MEAN), std=list(IMAGENET_STD))


def publish_backbone(
    checkpoint: str | Path,
    out: str | Path,
    *,
    weights: str = "averaged",
    channel_order: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Write the backbone of a checkpoint to a file.

    The file holds ``dict(state_dict=..., meta=...)`` with the backbone's parameter names, without a prefix. It can be
    loaded by ``init_cfg=dict(type='Pretrained', checkpoint=out)`` of a detector's backbone, or of a C4 detector's
    shared stage.

    Args:
        checkpoint: A checkpoint or a state dict, as ``torch.save`` or safetensors wrote it; for the layouts that are
            known see :mod:`smix_mm.transfer.layouts`.
        out: File to write, atomically.
        weights: ``'averaged'`` for the moving average (EMA) if the checkpoint has one, ``'raw'`` for the trained
            weights. Defaults to ``'averaged'``.
        channel_order: Channel order of the training images, ``'rgb'`` or ``'bgr'``, if the checkpoint does not
            record it. Defaults to None, for that of the checkpoint.
        mean: Mean of the training images' channels, in 0 to 255, if the checkpoint does not record it.
        std: Standard deviation of the training images' channels, in 0 to 255, if the checkpoint does not record it.

    Returns:
        The metadata that was written: ``format``, ``version``, ``hash`` (of the tensors), ``source`` and
        ``source_hash`` (name and hash of the checkpoint), ``weights``, ``stem``, ``style``, ``channel_order``,
        ``mean``, ``std``; None for what is not known.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        CheckpointError: It cannot be read safely, has no backbone, or records other values than were given.
        UsageError: ``out`` is the checkpoint itself, or ``weights`` is invalid.
        ValueError: ``'raw'`` for a checkpoint without moving average.
    """
    check_option("weights", weights, WEIGHTS)
    if Path(out).exists() and Path(checkpoint).exists() and Path(out).samefile(checkpoint):
        raise UsageError(f"out should be another file than the checkpoint, got {out} for both")
    content = read_checkpoint(checkpoint)
    if str(_meta(content).get("format", "")).startswith("smix_mm backbone"):
        raise CheckpointError(f"{checkpoint} is already a published backbone; give the checkpoint it was made from")
    state_dict, has_average = choose_weights(content, weights, checkpoint)
    backbone, is_plain_resnet = extract_backbone(state_dict, checkpoint)
    known = dict(_IMAGENET) if is_plain_resnet else describe_training(content)
    stated = dict(
        channel_order=channel_order,
        mean=None if mean is None else [float(value) for value in mean],
        std=None if std is None else [float(value) for value in std],
    )
    for name, value in stated.items():
        if value is not None:
            if not is_plain_resnet and known.get(name) not in (None, value):
                raise CheckpointError(f"{name}={value} was given, but {checkpoint} was trained with {known[name]}")
            known[name] = value
    meta = dict(
        format=FORMAT,
        version=__version__,
        hash=state_dict_hash(backbone),
        source=Path(checkpoint).name,
        source_hash=file_hash(checkpoint),
        weights=weights if has_average else "trained",
        stem=stem_of(backbone),
        **{name: known.get(name) for name in ("style", "channel_order", "mean", "std")},
    )
    with atomic_path(out) as temporary:
        torch.save(dict(state_dict=backbone, meta=meta), temporary)
    return meta


def _meta(content: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = content.get("meta")
    return meta if isinstance(meta, Mapping) else {}


def stem_of(backbone: Mapping[str, Tensor]) -> str | None:
    """Kind of a ResNet's stem: 'imagenet' (7x7 convolution), 'cifar' (3x3), 'deep' (several), or None if unknown."""
    if any(name.startswith("stem.") for name in backbone) and "layer1.0.conv1.weight" in backbone:
        return "deep"
    first = backbone.get("conv1.weight")
    if first is None or first.dim() != 4:
        return None
    return {7: "imagenet", 3: "cifar"}.get(first.shape[-1])


def describe_training(content: Mapping[str, Any]) -> dict[str, Any]:
    """Style, channel order, mean and std, from the text of the config in a checkpoint, which is not executed."""
    text = _meta(content).get("cfg")
    config = literal_assignments(text) if isinstance(text, str) else {}
    model = config.get("model", {})
    # As in mmengine, the model's preprocessor has priority.
    preprocessor = model.get("data_preprocessor") or config.get("data_preprocessor")
    if not preprocessor:
        return {}
    backbone = model.get("backbone", {})
    is_resnet = str(backbone.get("type", "")).rpartition(".")[2].startswith(("ResNe", "SEResNe", "Res2Net", "RegNet"))
    return dict(
        style=backbone.get("style", "pytorch") if is_resnet else None,
        channel_order=_channel_order(config, preprocessor),
        mean=preprocessor.get("mean"),
        std=preprocessor.get("std"),
    )


def _channel_order(config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> str:
    # Images read from files are BGR; those of datasets in memory (CIFAR) are RGB.
    steps = repr(config.get("train_dataloader", ""))
    from_files = any(name in steps for name in ("LoadImageFromFile", "StrictLoadImage", "LoadRandomResizedCrop"))
    flipped = bool(preprocessor.get("to_rgb") or preprocessor.get("bgr_to_rgb"))
    return "rgb" if from_files == flipped else "bgr"
