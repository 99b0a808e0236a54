"""Weights for mmengine without unpickling: local files, and downloads that are what their name says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Mapping
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from ..transfer.checkpoint import read_checkpoint
from ..utils.errors import CheckpointError
from ..utils.files import atomic_path, file_hash


def load_safely() -> None:
    """From now on, let mmengine read weights by :func:`~smix_mm.transfer.checkpoint.read_checkpoint` alone.

    mmengine itself unpickles a file that cannot be read safely, and a resume executes the text in
    a checkpoint's ``meta['config']``. This takes the place of all its loaders, in the whole process.
    Loaders that a project registered for prefixes of its own stay.
    """
    loaders = {
        load_from_local: [""],
        load_from_http: ["http://", "https://"],
        load_from_torchvision: ["torchvision://", "modelzoo://"],
        load_from_openmmlab: ["open-mmlab://", "openmmlab://"],
        load_from_mmcls: ["mmcls://"],
        load_from_nowhere: ["pavi://", r"(\S+\:)?s3://", r"(\S+\:)?petrel://"],
    }
    for loader, prefixes in loaders.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a file, onto the CPU: mmengine puts the tensors where they belong.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, holds more than weights and plain values, or no dict.
    """
    content = read_checkpoint(Path(filename).expanduser())
    if not isinstance(content, dict):
        raise CheckpointError(f"checkpoint {filename} holds a {type(content).__name__}; wanted a dict of weights")
    if isinstance(content.get("meta"), dict):
        content["meta"].pop("config", None)
    return content


def load_from_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a download, see :func:`download`; the main process downloads first."""
    if is_main_process():
        path = download(filename)
    barrier()
    return load_from_local(str(path if is_main_process() else download(filename)))


def load_from_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read weights of torchvision, such as ``torchvision://resnet50``."""
    return load_from_http(_address(get_torchvision_models(), filename))


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read weights of OpenMMLab, such as ``open-mmlab://detectron2/resnet50_caffe``."""
    known = get_external_models()
    prefix, name = filename.split("://", 1)
    address = _address(known, f"{prefix}://{get_deprecated_model_names().get(name, name)}")
    if address.startswith(("http://", "https://")):
        return load_from_http(address)
    raise CheckpointError(f"{filename} stands for the file {address}; wanted an address: give that file's path instead")


def load_from_mmcls(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read the backbone of a classifier of OpenMMLab, such as ``mmcls://mobilenet_v2``."""
    content = load_from_http(_address(get_mmcls_models(), filename))
    weights = content.get("state_dict", content)
    prefix = "backbone."
    return dict(state_dict={name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)})


def load_from_nowhere(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Refuse a kind of address that cannot be checked."""
    raise CheckpointError(f"{filename} is no address that is read here; wanted a file: download it and give its path")


def download(address: str) -> Path:
    """Fetch a file into torch's cache, unless it is there, and compare it with the hash in its name.

    Args:
        address: ends in ``NAME-HASH.pth``, HASH being the first eight or more digits of the sha256.

    Raises:
        CheckpointError: the name has no hash, the content another one, or the download fails.
    """
    name = Path(urlparse(address).path).name
    named = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    if not named:
        raise CheckpointError(
            f"{address} has no hash in its name to check the download by; wanted one such as NAME-0123abcd.pth: "
            "download it from a place that you trust, and give the file's path"
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        with atomic_path(path) as temporary:
            try:
                torch.hub.download_url_to_file(address, str(temporary), progress=sys.stderr.isatty())
            except (OSError, ValueError) as error:
                raise CheckpointError(
                    f"{address} cannot be downloaded: {error}; wanted a network that reaches it, or the file as {path}"
                ) from error
            _check_hash(temporary, named.group(1), address)
    _check_hash(path, named.group(1), str(path))
    return path


def _check_hash(path: Path, wanted: str, said: str) -> None:
    found = file_hash(path)
    if not found.startswith(wanted):
        raise CheckpointError(
            f"{said} is not what its name says: its sha256 begins with {found[: len(wanted)]}; wanted {wanted}: "
            "it was changed or cut short, so remove it and take it from a place that you trust"
        )


def _address(known: Mapping[str, str], filename: str) -> str:
    name = filename.split("://", 1)[1]
    if name not in known:
        raise CheckpointError(f"{filename} is not known; wanted one of {len(known)} names, such as {next(iter(known))}")
    return known[name]
