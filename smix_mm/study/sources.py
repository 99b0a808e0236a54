"""Checkpoints that somebody else has trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..utils.errors import CheckpointError
from ..utils.files import atomic_path


def fetch_checkpoint(source: str, folder: Path) -> Path:
    """The file of a checkpoint, fetched where it is not a file yet.

    Args:
        source: a path; ``torchvision://NAME`` or ``torchvision://NAME/WEIGHTS``, such as
            ``torchvision://resnet50/IMAGENET1K_V1`` (the default weights where none are named);
            ``timm://NAME``, such as ``timm://resnet50.a1_in1k``.
        folder: where fetched ones are kept; one that is there already is not fetched again.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be fetched.
    """
    if "://" not in source:
        return Path(source)
    library, _, name = source.partition("://")
    fetch = {"torchvision": _torchvision, "timm": _timm}.get(library)
    if fetch is None:
        raise CheckpointError(f"checkpoint {source} is of no known library; wanted torchvision://NAME or timm://NAME")
    path = folder / f"{library}-{name.replace('/', '-')}.pth"
    if not path.is_file():
        try:
            state_dict = fetch(name)
        except Exception as error:  # whatever a library or the network answers
            reason = str(error).split("\n")[0]
            raise CheckpointError(
                f"checkpoint {source} cannot be fetched ({type(error).__name__}: {reason}); "
                "give the file of a checkpoint that you have"
            ) from error
        with atomic_path(path) as temporary:
            torch.save(state_dict, temporary)
    return path


def _torchvision(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    model, _, weights = name.partition("/")
    # The file's name ends in the beginning of its hash, which is compared.
    state_dict: dict[str, Tensor] = get_model_weights(model)[weights or "DEFAULT"].get_state_dict(check_hash=True)
    return state_dict


def _timm(name: str) -> dict[str, Tensor]:
    import timm

    return dict(timm.create_model(name, pretrained=True).state_dict())
