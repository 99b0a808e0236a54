"""Proof that a detector starts from the backbone it was given."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..utils.errors import CheckpointError, LoadProofError
from .backbone import stem_of
from .checkpoint import read_checkpoint, state_dict_hash

PROOF = "load_proof.json"
"""What a run leaves in its work dir once its weights are proven."""

# Counters that older checkpoints lack; batch norm with a momentum never reads them.
_COUNTER = "*num_batches_tracked"
_SHOWN = 8


def prove_loaded(
    model: nn.Module,
    checkpoint: str | Path | Mapping[str, Any],
    *,
    new: Sequence[str] = (),
    unused: Sequence[str] = (),
) -> None:
    """Return quietly if every backbone tensor of ``model`` equals the checkpoint's, else raise.

    The backbone and, in a C4 detector, the RoI head's shared stage are judged together: each
    holds its share. Where the published file says what shapes cannot show (stem, style, channel
    order, mean and std) and the model states it too, the two have to agree.

    Args:
        model: has ``.backbone`` and perhaps ``.roi_head.shared_head``; a distributed wrapper
            around it is fine.
        checkpoint: the file that :func:`publish_backbone` wrote, or its content.
        new: patterns (``fnmatch``) of names that the model adds on purpose, such as
            ``'norm[0-3].*'`` for the output norms of a Swin.
        unused: patterns of names that the model leaves out on purpose.

    Raises:
        FileNotFoundError, CheckpointError: the checkpoint is missing or cannot be read.
        LoadProofError: something differs; all of it is listed.
    """
    expected, meta = _content(checkpoint)
    model = _unwrapped(model)
    faults = _compare_tensors(_model_tensors(model), expected, new, unused) + _compare_statements(model, meta)
    if faults:
        name = checkpoint if not isinstance(checkpoint, Mapping) else "the checkpoint"
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise LoadProofError(f"{type(model).__name__} does not start from {name}:\n{lines}")


def describe_proof(model: nn.Module, checkpoint: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`prove_loaded` has just shown, for the record.

    Returns:
        ``backbone_hash``; ``loaded``: ``'whole'``, or ``'whole but for new and unused'`` with the
        names ``new`` (in the model alone) and ``unused`` (in the checkpoint alone) beside it; and
        ``not_compared``, where the model states something that the checkpoint does not record.
    """
    expected, meta = _content(checkpoint)
    model = _unwrapped(model)
    names = {name for name, _ in _model_tensors(model)}
    apart = dict(
        new=sorted(name for name in names - expected.keys() if not fnmatchcase(name, _COUNTER)),
        unused=sorted(expected.keys() - names),
    )
    proof: dict[str, Any] = dict(backbone_hash=state_dict_hash(expected), loaded="whole")
    if any(apart.values()):
        proof.update(loaded="whole but for new and unused", **apart)
    silent = [name for name, value in _statements(model).items() if value is not None and meta.get(name) is None]
    return {**proof, "not_compared": silent} if silent else proof


def _content(checkpoint: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The state dict and the metadata, empty where there is none."""
    content = checkpoint if isinstance(checkpoint, Mapping) else read_checkpoint(checkpoint)
    expected = content.get("state_dict", content)
    if not isinstance(expected, Mapping) or not any(isinstance(value, Tensor) for value in expected.values()):
        raise CheckpointError("the checkpoint holds no state_dict; wanted a file that publish_backbone wrote")
    meta = content.get("meta")
    return expected, meta if isinstance(meta, Mapping) else {}


def _unwrapped(model: nn.Module) -> nn.Module:
    while not hasattr(model, "backbone") and isinstance(inner := getattr(model, "module", None), nn.Module):
        model = inner
    return model


def _backbone(model: nn.Module) -> nn.Module:
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise LoadProofError(f"{type(model).__name__} has no backbone; wanted a detector or a classifier")
    return backbone


def _shared_head(model: nn.Module) -> nn.Module | None:
    head = getattr(getattr(model, "roi_head", None), "shared_head", None)
    return head if isinstance(head, nn.Module) else None


def _model_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Names and tensors; a name stands twice where backbone and shared stage both have it."""
    parts = [_backbone(model), _shared_head(model)]
    return [tensor for part in parts if part is not None for tensor in part.state_dict().items()]


def _compare_tensors(
    actual: Sequence[tuple[str, Tensor]], expected: Mapping[str, Tensor], new: Sequence[str], unused: Sequence[str]
) -> list[str]:
    names = {name for name, _ in actual}
    if names.isdisjoint(expected):
        new, unused = (), ()  # patterns that excuse everything prove nothing
    missing = [name for name, _ in actual if name not in expected and not _matches(name, (*new, _COUNTER))]
    left_over = [name for name in expected if name not in names and not _matches(name, unused)]
    reshaped, different = [], []
    for name, tensor in actual:
        if name not in expected:
            continue
        if tensor.shape != expected[name].shape:
            reshaped.append(f"{name} {tuple(expected[name].shape)} -> {tuple(tensor.shape)}")
        elif not torch.equal(tensor.detach().cpu(), expected[name].cpu().to(tensor.dtype)):
            different.append(name)
    faults = [
        _listed("in the model, not in the checkpoint (name it in `new` if that is meant)", missing),
        _listed("in the checkpoint, not in the model (name it in `unused` if that is meant)", left_over),
        _listed("of another shape (checkpoint -> model)", reshaped),
        _listed("of the same shape, but with other values", different),
    ]
    return [fault for fault in faults if fault]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"


def _compare_statements(model: nn.Module, meta: Mapping[str, Any]) -> list[str]:
    faults = []
    for name, actual in _statements(model).items():
        expected = meta.get(name)
        if actual is None or expected is None:
            continue
        same = _close(actual, expected) if isinstance(expected, (list, tuple)) else actual == expected
        if not same:
            faults.append(f"{name} is {actual} in the model, but the backbone was trained with {expected}")
    return faults


def _statements(model: nn.Module) -> dict[str, Any]:
    """What a model states about its input and its blocks; None where it does not."""
    preprocessor = getattr(model, "data_preprocessor", None)
    mean, std = getattr(preprocessor, "mean", None), getattr(preprocessor, "std", None)
    # MMDetection and mmpretrain keep the same setting under two names; both read images as BGR.
    flips = getattr(preprocessor, "_channel_conversion", getattr(preprocessor, "to_rgb", None))
    blocks = [*_backbone(model).modules(), *(head.modules() if (head := _shared_head(model)) else ())]
    styles = {block.style for block in blocks if isinstance(getattr(block, "style", None), str)}
    return dict(
        stem=stem_of(_backbone(model).state_dict()),
        style=" and ".join(sorted(styles)) or None,
        channel_order=None if flips is None else ("rgb" if flips else "bgr"),
        mean=mean.flatten().tolist() if isinstance(mean, Tensor) else None,
        std=std.flatten().tolist() if isinstance(std, Tensor) else None,
    )


def _close(actual: Sequence[float], expected: Sequence[float]) -> bool:
    return len(actual) == len(expected) and all(abs(one - two) < 1e-2 for one, two in zip(actual, expected))
