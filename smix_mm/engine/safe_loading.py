"""Loaders for mmengine that read weights without unpickling, and compare downloads with their hash."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner import (
    CheckpointLoader,
    Runner,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from ..transfer.checkpoint import read_checkpoint, state_dict_of
from ..transfer.layouts import choose_weights
from ..utils.errors import CheckpointError
from ..utils.files import atomic_path, file_hash
from ..utils.tensors import unwrapped
from ..utils.text import first_few


def load_safely() -> None:
    """Replace mmengine's loaders, which unpickle files, by :func:`~smix_mm.transfer.checkpoint.read_checkpoint`.

    This holds for the whole process. Loaders that a project has registered for other prefixes are not changed.
    """
    loaders = {
        load_from_local: [""],
        load_from_http: ["http://", "https://"],
        load_by_name: ["torchvision://", "modelzoo://", "open-mmlab://", "openmmlab://", "mmcls://"],
        refuse_address: ["pavi://", r"(\S+\:)?s3://", r"(\S+\:)?petrel://"],
    }
    for loader, prefixes in loaders.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a file onto the CPU, without the text in its ``meta['config']``, which mmengine executes on resume."""
    content = read_checkpoint(Path(filename).expanduser())
    if isinstance(content.get("meta"), dict):
        content["meta"].pop("config", None)
    return content


def load_torchvision_classifier(runner: Runner) -> bool:
    """Before a test, load a ResNet with torchvision's names into a classifier of mmpretrain.

    mmengine would load none of its tensors, and only warn. Any other checkpoint is left to it. An error that the
    checkpoint claims, as ``best_err1``, is logged.

    Args:
        runner: With the model; the file is the ``load_from`` of its config.

    Returns:
        Whether it was loaded.

    Raises:
        CheckpointError: The file cannot be read, or its network is not the config's.
    """
    model, path = unwrapped(runner.model), runner._load_from
    if not hasattr(model, "head") or path is None:
        return False
    content = read_checkpoint(path)
    named, _ = choose_weights(content, "averaged", path)
    if not {"conv1.weight", "layer1.0.conv1.weight", "fc.weight"} <= named.keys():
        return False
    tensors = {f"{'head' if name.startswith('fc.') else 'backbone'}.{name}": value for name, value in named.items()}
    own = model.state_dict()
    shapes = [
        {name: v.shape for name, v in part.items() if "num_batches_tracked" not in name} for part in (own, tensors)
    ]
    differing = [name for name in {**shapes[0], **shapes[1]} if shapes[0].get(name) != shapes[1].get(name)]
    if differing:
        raise CheckpointError(
            f"{path} holds another network than the config: {len(differing)} tensors are missing, of another shape or "
            f"too many, such as {first_few(differing, 3)}; give the config of its network"
        )
    model.load_state_dict(tensors, strict=False)
    runner._load_from = None
    claim = content.get("best_err1")
    claimed = "" if claim is None else f" It claims a top-1 error of {float(claim):.2f} %, 100 less accuracy/top1."
    runner.logger.info(f"Loaded {path} under torchvision's names.{claimed}")
    return True


def load_from_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Download a file (see :func:`download`), on the main process first, and read it."""
    if is_main_process():
        path = download(filename)
    barrier()
    return load_from_local(str(path if is_main_process() else download(filename)))


def load_by_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read weights that mmengine has an address of, such as ``torchvision://resnet50`` or ``mmcls://mobilenet_v2``.

    Of ``mmcls://``, a classifier of OpenMMLab, only the backbone is read.
    """
    prefix, name = filename.split("://", 1)
    zoos = dict(torchvision=get_torchvision_models, modelzoo=get_torchvision_models, mmcls=get_mmcls_models)
    known = zoos.get(prefix, get_external_models)()
    if prefix not in zoos:
        name = get_deprecated_model_names().get(name, name)
    address = known.get(name, "")
    if not address.startswith(("http://", "https://")):
        raise CheckpointError(
            f"{filename} has no address; there are {len(known)} names, such as {next(iter(known))}, or give a path"
        )
    content = load_from_http(address)
    if prefix != "mmcls":
        return content
    weights, start = state_dict_of(content), "backbone."
    return dict(state_dict={name[len(start) :]: value for name, value in weights.items() if name.startswith(start)})


def refuse_address(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Refuse an address whose content cannot be checked."""
    raise CheckpointError(f"{filename} is an address that cannot be read safely; download the file and give its path")


def download(address: str) -> Path:
    """Download a file into torch's cache, unless it is there, and compare it with the hash in its name.

    Args:
        address: A URL that ends in ``NAME-HASH.pth``, where HASH is at least the first eight digits of the SHA-256.

    Returns:
        The path in the cache.

    Raises:
        CheckpointError: The name contains no hash, the hash differs, or the download fails.
    """
    name = Path(urlparse(address).path).name
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    if not match:
        raise CheckpointError(
            f"the file name in {address} should contain a hash, as in NAME-0123abcd.pth, to check the download by; "
            "download it from a source that you trust, and give the file's path"
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        with atomic_path(path) as temporary:
            try:
                torch.hub.download_url_to_file(address, str(temporary), progress=sys.stderr.isatty())
            except (OSError, ValueError) as error:
                raise CheckpointError(
                    f"{address} cannot be downloaded: {error}; check the network, or save the file as {path}"
                ) from error
            _check_hash(temporary, match.group(1), address)
    _check_hash(path, match.group(1), str(path))
    return path


def _check_hash(path: Path, expected: str, source: str) -> None:
    found = file_hash(path)[: len(expected)]
    if found != expected:
        raise CheckpointError(
            f"the SHA-256 of {source} should begin with {expected}, as in its name, got {found}; the file was changed "
            "or is incomplete, so remove it and download it from a source that you trust"
        )
