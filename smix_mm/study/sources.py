"""Fetching published checkpoints of torchvision and timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..datasets.prepare.released import find_release
from ..transfer.backbone import IMAGENET
from ..utils.errors import CheckpointError
from ..utils.files import atomic_path
from ..utils.lock import hold
from .run import clear_temporaries


def fetch_checkpoint(source: str, folder: Path) -> Path:
    """The file of a checkpoint; one of a library is downloaded and saved first.

    Args:
        source: a path; ``torchvision://NAME`` or ``torchvision://NAME/WEIGHTS``, such as
            ``torchvision://resnet50/IMAGENET1K_V1`` (without WEIGHTS, the default weights);
            ``timm://NAME``, such as ``timm://resnet50.a1_in1k``; ``released://ROW``, such as ``released://cutmix``,
            a downloaded file of the paper's table, see :mod:`smix_mm.datasets.prepare.released`.
        folder: where fetched checkpoints are saved; one that is saved already is not fetched again.

    Raises:
        CheckpointError: the checkpoint does not exist, or cannot be fetched.
    """
    if "://" not in source:
        return Path(source)
    library, _, name = source.partition("://")
    if library == "released":
        return find_release(name)
    if library not in ("torchvision", "timm"):
        raise CheckpointError(
            f"a checkpoint should be a file, torchvision://NAME, timm://NAME or released://ROW, got {source}."
        )
    path = folder / f"{library}-{name.replace('/', '-')}.pth"
    if path.is_file():
        return path
    with hold(path.with_suffix(".lock"), f"another process fetches {source}", wait=True):
        if path.is_file():
            return path
        clear_temporaries(folder, f".{path.stem}-*")
        try:
            if library == "timm":
                import timm

                state_dict = timm.create_model(name, pretrained=True).state_dict()
            else:
                # check_hash compares the hash with the one in the file's name.
                state_dict = _torchvision_weights(name).get_state_dict(check_hash=True)
        except Exception as error:  # the libraries raise many types
            reason = str(error).split("\n")[0]
            raise CheckpointError(
                f"checkpoint {source} cannot be fetched ({type(error).__name__}: {reason}). "
                "Use the file of a checkpoint instead."
            ) from error
        with atomic_path(path) as temporary:
            torch.save(dict(state_dict), temporary)
    return path


def _torchvision_weights(name: str) -> Any:
    from torchvision.models import get_model_weights

    model, _, weights = name.partition("/")
    return get_model_weights(model)[weights or "DEFAULT"]


def documented_training(source: str) -> dict[str, Any]:
    """What the library documents about the training of a checkpoint, as arguments of ``publish_backbone``.

    Args:
        source: see :func:`fetch_checkpoint`. For a path nothing is documented.
    """
    library, _, name = source.rpartition("://")
    if library == "torchvision":
        documented = _torchvision_weights(name).transforms()
    elif library == "released":
        # Both READMEs' training scripts normalize RGB images by ImageNet's mean and std.
        return dict(IMAGENET, stated_by="the authors' training script")
    elif library == "timm":
        import timm

        documented = timm.get_pretrained_cfg(name)
    else:
        return {}
    # Both train their ResNets on RGB images, with the stride in a bottleneck's 3x3 convolution.
    described = dict(style="pytorch", channel_order="rgb", stated_by=library)
    return {**described, **{key: getattr(documented, key, None) for key in ("mean", "std")}}
