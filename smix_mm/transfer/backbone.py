"""Publishing the backbone of a pretraining checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import torch
from torch import Tensor

from ..utils.channels import batch_order
from ..utils.choices import check_option
from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.errors import CheckpointError, UsageError
from ..utils.files import atomic_path, check_output, file_hash
from ..version import __version__
from .checkpoint import literal_assignments, read_checkpoint, state_dict_hash
from .layouts import choose_weights, extract_backbone

FORMAT = "smix_mm backbone 1"
WEIGHTS = ("averaged", "raw")
STYLES = ("pytorch", "caffe")
IMAGENET: dict[str, Any] = dict(style="pytorch", channel_order="rgb", mean=IMAGENET_MEAN, std=IMAGENET_STD)
"""Arguments of :func:`publish_backbone` for a ResNet that was trained on ImageNet as torchvision's were."""


def publish_backbone(
    checkpoint: str | Path,
    out: str | Path,
    *,
    weights: str = "averaged",
    style: str | None = None,
    channel_order: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stated_by: str | None = None,
) -> dict[str, Any]:
    """Write the backbone of a checkpoint to a file.

    The file holds ``dict(state_dict=..., meta=...)`` with the backbone's parameter names, without a prefix. It can be
    loaded by ``init_cfg=dict(type='Pretrained', checkpoint=out)`` of a detector's backbone, or of a C4 detector's
    shared stage.

    Style, channel order, mean and std are read from the config in the checkpoint. State them for a checkpoint without
    one, such as a plain state dict; what is neither read nor stated is recorded as unknown.

    Args:
        checkpoint: A checkpoint or a state dict, as ``torch.save`` or safetensors wrote it; for the layouts that are
            known see :mod:`smix_mm.transfer.layouts`.
        out: File to write, atomically.
        weights: ``'averaged'`` for the moving average (EMA) if the checkpoint has one, ``'raw'`` for the trained
            weights. Defaults to ``'averaged'``.
        style: ``'pytorch'`` if the 3x3 convolution of a ResNet's bottleneck has the stride, ``'caffe'`` if the
            first 1x1 convolution has it. Defaults to None: not stated.
        channel_order: Channel order of the training images, ``'rgb'`` or ``'bgr'``. Defaults to None.
        mean: Mean of the training images' channels in that order, for pixels in 0 to 255 or in 0 to 1; the latter
            is converted. Defaults to None.
        std: Their standard deviation, on the same scale as the mean. Defaults to None.
        stated_by: Who states the values, such as ``'torchvision'``. Defaults to None, for the user.

    Returns:
        The metadata that was written: ``format``, ``version``, ``hash`` (of the tensors), ``source`` and
        ``source_hash`` (name and hash of the checkpoint), ``weights``, ``stem``, ``style``, ``channel_order``,
        ``mean``, ``std`` (for 0 to 255); None for what is not known; and ``origin`` of the last four, ``'read'``,
        ``'stated'`` or ``'stated by ...'``, if known.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        CheckpointError: It cannot be read safely, has no backbone, or records other values than were stated.
        UsageError: ``out`` is the checkpoint itself, or an argument is invalid.
        ValueError: ``'raw'`` for a checkpoint without moving average.
    """
    check_option("weights", weights, WEIGHTS)
    check_output(out, checkpoint)
    content = read_checkpoint(checkpoint)
    if str(_meta(content).get("format", "")).startswith("smix_mm backbone"):
        raise CheckpointError(f"{checkpoint} is already a published backbone; give the checkpoint it was made from")
    state_dict, has_average = choose_weights(content, weights, checkpoint)
    backbone = extract_backbone(state_dict, checkpoint)
    known = describe_training(content)
    origin = {name: "read" for name in _DESCRIBED if known.get(name) is not None}
    first = backbone.get("conv1.weight")
    channels = 3 if first is None or first.dim() != 4 else first.shape[1]
    mean, std = check_normalization(mean, std, known.get("mean"), channels)
    for name, value in dict(style=style, channel_order=channel_order, mean=mean, std=std).items():
        if value is None:
            continue
        if name in ("style", "channel_order"):
            check_option(name, value, STYLES if name == "style" else ("rgb", "bgr"))
        if name in origin and not same_value(value, known[name]):
            raise CheckpointError(f"{name}={value} was stated, but {checkpoint} was trained with {known[name]}")
        if name not in origin:
            known[name], origin[name] = value, f"stated by {stated_by}" if stated_by else "stated"
    meta = dict(
        format=FORMAT,
        version=__version__,
        hash=state_dict_hash(backbone),
        source=Path(checkpoint).name,
        source_hash=file_hash(checkpoint),
        weights=weights if has_average else "trained",
        stem=stem_of(backbone),
        **{name: known.get(name) for name in _DESCRIBED},
        origin=origin,
    )
    # An open file, because from a path torch takes a name into the archive, here a random one.
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        torch.save(dict(state_dict=backbone, meta=meta), file)
    return meta


_DESCRIBED = ("style", "channel_order", "mean", "std")


def check_normalization(
    mean: Sequence[float] | None, std: Sequence[float] | None, known_mean: Sequence[float] | None, channels: int
) -> tuple[list[float] | None, list[float] | None]:
    """Mean and std for pixels in 0 to 255, from values for 0 to 255 or for 0 to 1.

    Args:
        mean, std: As stated; None if not stated.
        known_mean: For 0 to 255; decides the scale of a std of 1 if no mean is stated.
        channels: Expected number of values.

    Raises:
        UsageError: A value is impossible, or the scale is not clear.
    """
    for name, values, least in (("mean", mean, 0.0), ("std", std, 1e-6)):
        if values is None:
            continue
        listed = list(values) if isinstance(values, (list, tuple)) else [values]
        numbers = all(isinstance(value, (int, float)) and least <= value <= 255 for value in listed)
        if not numbers or len(listed) != channels:
            lowest = "0" if name == "mean" else "more than 0"
            raise UsageError(f"{name} should be {channels} numbers from {lowest} to 255, got {listed}")
    context = mean if mean is not None else known_mean
    scales = {_scale(values) for values in (context, std) if values is not None}
    scales.discard(None)
    if len(scales) > 1 or (not scales and (std is not None or any(mean or ()))):
        raise UsageError(
            f"mean and std should both be for pixels in 0 to 255, or both for 0 to 1, got mean {context} and std {std}"
            "; for images that were only divided by 255, state mean 0 and std 255"
        )
    factor = 255.0 if scales == {1} else 1.0
    converted = [None if values is None else [float(value) * factor for value in values] for values in (mean, std)]
    return converted[0], converted[1]


def _scale(values: Sequence[float]) -> int | None:
    """255 or 1, the largest value of the pixels that a mean or a std is for; None if it fits both."""
    if max(values) > 1:
        return 255
    return None if set(values) in ({0}, {1}) else 1


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a property agree; numbers may differ by rounding."""
    if not isinstance(other, (list, tuple)):
        return bool(one == other)
    return len(one) == len(other) and all(abs(a - b) < 1e-2 for a, b in zip(one, other))


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
    model = config["model"] if isinstance(config.get("model"), dict) else {}
    # As in mmengine, the model's preprocessor has priority.
    preprocessor = model.get("data_preprocessor") or config.get("data_preprocessor")
    if not isinstance(preprocessor, dict):
        return {}
    backbone = model["backbone"] if isinstance(model.get("backbone"), dict) else {}
    is_resnet = str(backbone.get("type", "")).rpartition(".")[2].startswith(("ResNe", "SEResNe", "Res2Net", "RegNet"))
    flips = bool(preprocessor.get("to_rgb") or preprocessor.get("bgr_to_rgb"))
    return dict(
        style=backbone.get("style", "pytorch") if is_resnet else None,
        channel_order=batch_order(config.get("train_dataloader"), flips),
        **{
            name: preprocessor.get(name)
            for name in ("mean", "std")
            if isinstance(preprocessor.get(name), (list, tuple))
        },
    )
