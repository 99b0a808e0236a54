"""Fetching published checkpoints of torchvision and timm."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..datasets.prepare.released import find_release
from ..utils.errors import CheckpointError
from ..utils.files import atomic_path


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
    fetch = {"torchvision": _torchvision, "timm": _timm}.get(library)
    if fetch is None:
        raise CheckpointError(
            f"a checkpoint should be a file, torchvision://NAME, timm://NAME or released://ROW, got {source}."
        )
    path = folder / f"{library}-{name.replace('/', '-')}.pth"
    if not path.is_file():
        try:
            state_dict = fetch(name)
        except Exception as error:  # the libraries raise many types
            reason = str(error).split("\n")[0]
            raise CheckpointError(
                f"checkpoint {source} cannot be fetched ({type(error).__name__}: {reason}). "
                "Use the file of a checkpoint instead."
            ) from error
        with atomic_path(path) as temporary:
            torch.save(state_dict, temporary)
    return path


def _torchvision(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    model, _, weights = name.partition("/")
    # check_hash compares the hash with the one in the file's name.
    state_dict: dict[str, Tensor] = get_model_weights(model)[weights or "DEFAULT"].get_state_dict(check_hash=True)
    return state_dict


def _timm(name: str) -> dict[str, Tensor]:
    import timm

    return dict(timm.create_model(name, pretrained=True).state_dict())
