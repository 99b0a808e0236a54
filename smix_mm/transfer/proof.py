"""Proof that a model starts from the weights of a checkpoint."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..utils.channels import batch_order
from ..utils.errors import CheckpointError, LoadProofError
from ..utils.tensors import unwrapped
from ..utils.text import first_few
from .backbone import same_value, stem_of
from .checkpoint import read_checkpoint, state_dict_hash, state_dict_of

PROOF = "load_proof.json"
"""File in the work dir with the result of a proof."""

# Counters that older checkpoints lack; batch normalisation with a momentum does not use them.
_COUNTER = "*num_batches_tracked"
_SHOWN = 8


def prove_loaded(
    model: nn.Module,
    checkpoint: str | Path | Mapping[str, Any],
    *,
    new: Sequence[str] = (),
    unused: Sequence[str] = (),
    prefix: str = "",
    dataloader: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Raise an error unless every backbone tensor of ``model`` equals the checkpoint's.

    In a C4 detector, the tensors of the backbone and of the RoI head's shared stage together are compared.
    Properties that the names do not show (stem, style, channel order, mean and std of the training images) are
    compared too, if both the checkpoint and the model record them.

    Args:
        model: A model with ``.backbone`` and optionally ``.roi_head.shared_head``, also in a distributed wrapper.
        checkpoint: The file that :func:`publish_backbone` wrote, or its content.
        new: Patterns (``fnmatch``) of names that only the model should have, such as ``'norm[0-3].*'`` for the
            output norms of a Swin. Defaults to none.
        unused: Patterns of names that only the checkpoint should have. Defaults to none.
        prefix: Only tensors whose names begin with it are the backbone's, as for ``init_cfg``. Defaults to none.
        dataloader: Settings of the training's dataloader, which show the channel order of its images. Defaults to
            None: they are read from files, but a classifier with ``to_rgb=False`` may read RGB, and its channel order
            is not compared.

    Returns:
        The content of ``load_proof.json``: ``backbone_hash``; ``loaded``: ``'whole'``, or ``'whole but for new and
        unused'`` together with the lists of names ``new`` (only in the model) and ``unused`` (only in the checkpoint);
        and ``not_compared`` with the properties that only the model records, if there are any.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        CheckpointError: The checkpoint cannot be read, or has no state dict.
        LoadProofError: The model has no backbone, or differs; the message lists all differences.
    """
    content = checkpoint if isinstance(checkpoint, Mapping) else read_checkpoint(checkpoint)
    expected = state_dict_of(content)
    if not isinstance(expected, Mapping) or not any(isinstance(value, Tensor) for value in expected.values()):
        raise CheckpointError("the checkpoint should hold a state_dict; give a file that publish_backbone wrote")
    if prefix:
        # As mmengine does: a dot is added where there is none.
        start = prefix if prefix.endswith(".") else f"{prefix}."
        expected = {name[len(start) :]: value for name, value in expected.items() if name.startswith(start)}
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    model = unwrapped(model)
    # A name that both backbone and shared stage have is listed twice.
    actual = [tensor for part in _parts(model) for tensor in part.state_dict().items()]
    properties = {name: value for name, value in _properties(model, dataloader).items() if value is not None}
    faults = _compare_tensors(actual, expected, new, unused) + _compare_properties(properties, meta)
    if faults:
        source = checkpoint if not isinstance(checkpoint, Mapping) else "the checkpoint"
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise LoadProofError(f"{type(model).__name__} does not start from {source}:\n{lines}")
    names = {name for name, _ in actual}
    differences = dict(
        new=sorted(name for name in names - expected.keys() if not fnmatchcase(name, _COUNTER)),
        unused=sorted(expected.keys() - names),
    )
    proof: dict[str, Any] = dict(backbone_hash=state_dict_hash(expected), loaded="whole")
    if any(differences.values()):
        proof.update(loaded="whole but for new and unused", **differences)
    not_compared = [name for name in properties if meta.get(name) is None]
    return {**proof, "not_compared": not_compared} if not_compared else proof


def _parts(model: nn.Module) -> list[nn.Module]:
    """The backbone, and the shared stage of a C4 detector."""
    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise LoadProofError(f"{type(model).__name__} has no backbone; give a detector or a classifier")
    head = getattr(getattr(model, "roi_head", None), "shared_head", None)
    return [backbone, head] if isinstance(head, nn.Module) else [backbone]


def _compare_tensors(
    actual: Sequence[tuple[str, Tensor]], expected: Mapping[str, Tensor], new: Sequence[str], unused: Sequence[str]
) -> list[str]:
    names = {name for name, _ in actual}
    if names.isdisjoint(expected):
        new, unused = (), ()  # patterns that match everything would prove nothing
    added = [name for name, _ in actual if name not in expected and not _matches(name, (*new, _COUNTER))]
    left_out = [name for name in expected if name not in names and not _matches(name, unused)]
    reshaped, different = [], []
    for name, tensor in actual:
        if name not in expected:
            continue
        if tensor.shape != expected[name].shape:
            reshaped.append(f"{name} {tuple(expected[name].shape)} -> {tuple(tensor.shape)}")
        elif not torch.equal(tensor.detach().cpu(), expected[name].cpu().to(tensor.dtype)):
            different.append(name)
    faults = {
        "in the model, not in the checkpoint (name it in `new` if that is meant)": added,
        "in the checkpoint, not in the model (name it in `unused` if that is meant)": left_out,
        "of another shape (checkpoint -> model)": reshaped,
        "of the same shape, but with other values": different,
    }
    return [f"{len(found)} {what}: {first_few(found, _SHOWN)}" for what, found in faults.items() if found]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _compare_properties(properties: Mapping[str, Any], meta: Mapping[str, Any]) -> list[str]:
    faults = []
    for name, actual in properties.items():
        expected = meta.get(name)
        if expected is None or same_value(actual, expected):
            continue
        origin = (meta.get("origin") or {}).get(name, "read")
        claim = f"was trained with {expected}" if origin == "read" else f"was published with {expected} ({origin})"
        faults.append(f"{name} is {actual} in the model, but the backbone {claim}")
    return faults


def _properties(model: nn.Module, dataloader: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a model records about its input and its blocks; None for what it does not."""
    preprocessor = getattr(model, "data_preprocessor", None)
    mean, std = getattr(preprocessor, "mean", None), getattr(preprocessor, "std", None)
    # MMDetection and mmpretrain have different names for this setting.
    flips = getattr(preprocessor, "_channel_conversion", getattr(preprocessor, "to_rgb", None))
    order = None if flips is None else batch_order(dataloader, flips)
    if order is None and (flips or hasattr(preprocessor, "_channel_conversion")):
        order = "rgb" if flips else "bgr"
    blocks = [block for part in _parts(model) for block in part.modules()]
    styles = {style for block in blocks if isinstance(style := getattr(block, "style", None), str)}
    return dict(
        stem=stem_of(_parts(model)[0].state_dict()),
        style=" and ".join(sorted(styles)) or None,
        channel_order=order,
        mean=mean.flatten().tolist() if isinstance(mean, Tensor) else None,
        std=std.flatten().tolist() if isinstance(std, Tensor) else None,
    )
