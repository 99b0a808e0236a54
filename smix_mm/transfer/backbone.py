"""Publishing the backbone of a pretraining checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Mapping, Sequence

import torch
from torch import Tensor

from ..utils.choices import check_option
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.errors import CheckpointError, UsageError
from ..utils.files import atomic_path, file_hash
from ..utils.text import first_few
from ..version import __version__
from .checkpoint import literal_assignments, read_checkpoint, state_dict_hash

FORMAT = "smix_mm backbone 1"
WEIGHTS = ("averaged", "raw")
# Names of the parameters of a ResNet, the same in torchvision, timm, mmpretrain and MMDetection.
_RESNET = re.compile(r"(conv1|bn1|layer[1-4])\.")
_HEAD = re.compile(r"fc\.")
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
        checkpoint: A checkpoint of mmengine or timm, a plain state dict (also with ``module.`` prefixes), or a state
            dict of torchvision's or timm's ResNet.
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


def choose_weights(content: Mapping[str, Any], weights: str, path: str | Path) -> tuple[dict[str, Tensor], bool]:
    """The averaged or raw state dict of a checkpoint, and whether it has both."""
    if str(_meta(content).get("format", "")).startswith("smix_mm backbone"):
        raise CheckpointError(f"{path} is already a published backbone; give the checkpoint it was made from")
    main = next((content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), content)
    # mmengine's EMA hook saves the average as state_dict and the raw weights under another key; timm the reverse.
    pairs = [("ema_state_dict", "raw"), ("state_dict_ema", "averaged"), ("model_ema", "averaged")]
    for key, holds in pairs:
        if isinstance(content.get(key), Mapping):
            return _tensors(content[key] if holds == weights else main), True
    if weights == "raw" and main is not content:
        raise ValueError(f"{path} has no moving average, so it has only one set of weights; use weights='averaged'")
    return _tensors(main), False


def _meta(content: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = content.get("meta")
    return meta if isinstance(meta, Mapping) else {}


def _tensors(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a state dict, by name without the prefixes of wrappers."""
    tensors: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if isinstance(value, Tensor):
            while name.startswith(("module.", "_orig_mod.")):
                name = name.partition(".")[2]
            tensors[name] = value.detach().clone()
    return tensors


def extract_backbone(state_dict: Mapping[str, Tensor], path: str | Path) -> tuple[dict[str, Tensor], bool]:
    """The backbone's tensors by name without prefix, and whether the state dict is that of a plain ResNet."""
    prefix = "backbone."
    backbone = {name[len(prefix) :]: value for name, value in state_dict.items() if name.startswith(prefix)}
    if backbone:
        return backbone, False
    rest = [name for name in state_dict if not _RESNET.match(name) and not _HEAD.match(name)]
    plain = {name: value for name, value in state_dict.items() if _RESNET.match(name)}
    if plain and not rest:
        return plain, True
    found = first_few(rest or list(state_dict), 3) or "no tensors"
    raise CheckpointError(
        f"no backbone is found in {path}: names should begin with 'backbone.', or be those of torchvision's or "
        f"timm's ResNet (conv1, bn1, layer1 to layer4, fc), got {found}"
    )


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
    from_files = "LoadImageFromFile" in steps or "StrictLoadImage" in steps
    flipped = bool(preprocessor.get("to_rgb") or preprocessor.get("bgr_to_rgb"))
    return "rgb" if from_files == flipped else "bgr"
