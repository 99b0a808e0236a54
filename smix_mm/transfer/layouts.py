"""Where a backbone lies in a checkpoint: containers, wrappers and prefixes of many projects.

Known are checkpoints of mmengine, timm, torchvision's references, PyTorch Lightning, DINO (student and teacher), MoCo
(query and key encoder), BYOL (online and target network), averages by ``torch.optim.swa_utils`` and EMA hooks; models
inside DataParallel, DistributedDataParallel and ``torch.compile``; and ResNets inside other modules, torchvision's
detection backbones and ``nn.Sequential(*resnet.children())``.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

from torch import Tensor

from ..utils.errors import CheckpointError
from ..utils.text import first_few

Tensors = dict[str, Tensor]

# Names under which training code saves a state dict.
_CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "module")
# A key that holds an average, or the raw weights, beside the state dict: mmengine's EMA hook saves the average as
# state_dict and the raw weights apart; the others the reverse.
_BESIDE = {
    "ema_state_dict": "raw",
    "state_dict_ema": "averaged",
    "model_ema": "averaged",
    "ema": "averaged",
    "ema_model": "averaged",
    "swa_state_dict": "averaged",
    "swa_model": "averaged",
    "model_swa": "averaged",
}
# Two networks under names of their own: the trained one, its moving average, and which one the project evaluates.
_TWO_NETWORKS = (
    ("student", "teacher", "averaged"),
    ("encoder_q", "encoder_k", "raw"),
    ("base_encoder", "momentum_encoder", "raw"),
    ("online_net", "target_net", "raw"),
    ("online_network", "target_network", "raw"),
    ("online_encoder", "target_encoder", "raw"),
    ("backbone", "backbone_momentum", "raw"),
    ("backbone", "momentum_backbone", "raw"),
)
# Parts of names that wrappers insert: DistributedDataParallel and SWA, torch.compile.
_WRAPPERS = ("module", "_orig_mod")
_RESNET = re.compile(r"(conv1|bn1|stem|layer[1-4])\.")
_RESNET_HEAD = re.compile(r"(fc|head|classifier)\.")
# nn.Sequential(*resnet.children()): conv1, bn1, relu, maxpool, layer1 to layer4, avgpool, fc.
_SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def choose_weights(content: Mapping[str, Any], weights: str, path: object) -> tuple[Tensors, bool]:
    """The averaged or raw state dict of a checkpoint.

    Args:
        content: of the file.
        weights: ``'averaged'`` or ``'raw'``, where the checkpoint has both.
        path: for messages.

    Returns:
        Tensors by name, without what wrappers insert into names, and whether ``weights`` describes them: not if the
        checkpoint holds one state dict that is no average.

    Raises:
        ValueError: ``'raw'`` for a checkpoint that has one state dict, or an average alone.
    """
    for trained, average, _ in _TWO_NETWORKS:
        if isinstance(content.get(trained), Mapping) and isinstance(content.get(average), Mapping):
            return _tensors(content[trained if weights == "raw" else average]), True
    main = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
    tensors = _tensors(main)
    beside = {
        key: held for key in _BESIDE if isinstance(content.get(key), Mapping) and (held := _tensors(content[key]))
    }
    if weights == "raw" and ("n_averaged" in main or (beside and not tensors)):
        raise ValueError(f"{path} holds only a moving average, no raw weights; leave weights='averaged'")
    for key, held in beside.items():
        return (held if _BESIDE[key] == weights else tensors), True
    if "n_averaged" in main:
        return tensors, True
    for trained, average, used in _TWO_NETWORKS:
        roots = {name.partition(".")[0] for name in tensors}
        if {trained, average} <= roots:
            # The average of an encoder is not what these projects evaluate, so it is chosen by name only.
            chosen = average if used == weights == "averaged" else trained
            return {name: value for name, value in tensors.items() if name.startswith(f"{chosen}.")}, True
    if weights == "raw" and main is not content:
        raise ValueError(f"{path} has no moving average, so no raw weights beside it; leave weights='averaged'")
    return tensors, False


def _tensors(state_dict: Mapping[str, Any]) -> Tensors:
    """Tensors by name, out of containers and wrappers; without the counter of an averaged model."""
    for key in _CONTAINERS:
        inner = state_dict.get(key)
        if isinstance(inner, Mapping):
            return _tensors(inner)
    tensors: Tensors = {}
    for name, value in state_dict.items():
        if isinstance(value, Tensor) and isinstance(name, str) and name != "n_averaged":
            parts = [part for part in name.split(".") if part not in _WRAPPERS]
            tensors[".".join(parts)] = value.detach().clone()
    return tensors


def extract_backbone(state_dict: Mapping[str, Tensor], path: object) -> Tensors:
    """The backbone's tensors under its own names, out of what :func:`choose_weights` returned.

    Raises:
        CheckpointError: there is no backbone, more than one, or one that is not whole.
    """
    resnets = _resnets(state_dict)
    openmmlab = _below(state_dict, "backbone.")
    if openmmlab and not resnets and not any(name[:1].isdigit() for name in openmmlab):
        return _checked(openmmlab, path)
    if len(resnets) > 1:
        raise CheckpointError(
            f"{path} holds {len(resnets)} backbones, under {first_few(sorted(resnets), 4)}; save the one to publish "
            "alone with torch.save"
        )
    if not resnets:
        names = first_few(list(state_dict), 3) or "no tensors"
        if any(".convolution.weight" in name for name in state_dict):
            raise CheckpointError(
                f"{path} has the names of Hugging Face's transformers ({names}); publish the same weights from timm"
            )
        raise CheckpointError(
            f"no backbone is found in {path}: names should begin with 'backbone.', or be those of a ResNet (conv1, "
            f"bn1, layer1 to layer4), got {names}"
        )
    ((root, tensors),) = resnets.items()
    if root == "backbone." and "layer1.0.conv1.weight" in openmmlab and "fc.weight" not in openmmlab:
        return _checked(openmmlab, path)
    unknown = [name for name in tensors if not _RESNET.match(name) and not _RESNET_HEAD.match(name)]
    if unknown:
        raise CheckpointError(f"{path} has a ResNet with parts that a detector's ResNet lacks: {first_few(unknown, 3)}")
    backbone = {name: value for name, value in tensors.items() if _RESNET.match(name)}
    return _checked(_whole_resnet(backbone, path), path)


def _below(tensors: Mapping[str, Tensor], root: str) -> Tensors:
    return {name[len(root) :]: value for name, value in tensors.items() if name.startswith(root)}


def _resnets(state_dict: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """ResNets by the prefix of their names."""
    found: dict[str, Tensors] = {}
    for name in state_dict:
        for first in ("layer1.0.conv1.weight", "4.0.conv1.weight"):
            if name != first and not name.endswith(f".{first}"):
                continue
            root = name[: -len(first)]
            tensors = _below(state_dict, root)
            if first[0] == "4":
                tensors = _from_sequential(tensors)
            if "layer1.0.conv1.weight" in tensors:
                found[root] = tensors
    return found


def _from_sequential(tensors: Mapping[str, Tensor]) -> Tensors:
    """A ResNet's names from the numbers of a Sequential; nothing where these are not a ResNet's."""
    renamed = {}
    for name, value in tensors.items():
        number, _, rest = name.partition(".")
        if number in _SEQUENTIAL:
            renamed[f"{_SEQUENTIAL[number]}.{rest}"] = value
        elif number != "9":
            return {}
    return renamed if {"conv1.weight", "bn1.running_mean"} <= renamed.keys() else {}


def _whole_resnet(backbone: Tensors, path: object) -> Tensors:
    stages = {name.partition(".")[0] for name in backbone}
    missing = [f"layer{number}" for number in (1, 2, 3, 4) if f"layer{number}" not in stages]
    for name in backbone:
        if name.endswith("running_mean"):
            norm = name[: -len("running_mean")]
            missing += [norm + part for part in ("weight", "bias", "running_var") if norm + part not in backbone]
    convolutions = [name for name in backbone if re.search(r"layer\d\.\d+\.conv(\d)\.weight$", name)]
    for name in convolutions:
        norm = re.sub(r"conv(\d)\.weight$", r"bn\1.running_mean", name)
        if norm not in backbone:
            missing.append(norm)
    if not any(name.startswith(("conv1.", "stem.")) for name in backbone):
        missing.append("conv1.weight")
    if missing:
        raise CheckpointError(
            f"{path} has a ResNet without {first_few(missing, 4)}; give the checkpoint of the whole one"
        )
    return backbone


def _checked(tensors: Tensors, path: object) -> Tensors:
    """The same tensors; refused where they are NaN, infinite or nothing but zeros."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise CheckpointError(
                f"{path} has NaN or infinity in {name}; give a checkpoint from before the loss exploded"
            )
    weights = [value for name, value in tensors.items() if name.endswith("weight") and value.dim() > 1]
    if weights and not any(bool(value.any()) for value in weights):
        raise CheckpointError(f"{path} has weights that are all zero; give the checkpoint of a trained model")
    return tensors
