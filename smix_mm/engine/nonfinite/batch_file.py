"""A batch as a file of plain values, with the random state before it, so that it can be run again.

Nothing in such a file is executed when it is read: data structures are written as their name and
their content, and only the names listed here are built again.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...transfer.checkpoint import read_checkpoint
from ...utils.errors import CheckpointError
from ...utils.files import atomic_path

FORMAT = "smix_mm batch 1"

# Where the structures live that a batch may hold beyond plain values; mmdet's need not be installed.
_ELEMENTS = {
    "BaseDataElement": "mmengine.structures",
    "InstanceData": "mmengine.structures",
    "LabelData": "mmengine.structures",
    "PixelData": "mmengine.structures",
    "DataSample": "mmpretrain.structures",
    "MultiTaskDataSample": "mmpretrain.structures",
    "DetDataSample": "mmdet.structures",
}
# These are built from a few attributes of theirs.
_SHAPES = {
    "HorizontalBoxes": ("mmdet.structures.bbox", ("tensor",)),
    "BitmapMasks": ("mmdet.structures.mask", ("masks", "height", "width")),
    "PolygonMasks": ("mmdet.structures.mask", ("masks", "height", "width")),
}


def hold(batch: Any) -> Any:
    """The batch as it is now, cheaply: training writes into samples, but never into the images.

    Images and metainfo are shared with ``batch``; containers, samples and the tensors in
    samples are copies.
    """
    if isinstance(batch, dict):
        return {key: hold(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [hold(value) for value in batch]
    if isinstance(batch, BaseDataElement):
        return _held_element(batch)
    return batch


def _held_element(element: BaseDataElement) -> BaseDataElement:
    held = element.__class__.__new__(element.__class__)
    content = dict(element.__dict__)
    for name in element._data_fields & content.keys():  # properties are fields without a place of their own
        value = content[name]
        if isinstance(value, BaseDataElement):
            content[name] = _held_element(value)
        elif hasattr(value, "clone"):  # tensors and boxes
            content[name] = value.clone()
    for name in ("_data_fields", "_metainfo_fields"):
        content[name] = set(content[name])
    held.__dict__.update(content)
    return held


def write_batch(path: str | Path, batch: Any, random_state: dict[str, Any], **about: Any) -> None:
    """Write a batch, whole or not at all.

    Args:
        path: the file.
        batch: what a data loader gave.
        random_state: of :func:`~smix_mm.utils.random_state.get_random_state`, from before the batch was used.
        about: plain values to keep with it.

    Raises:
        TypeError: the batch holds something that is none of the structures known here.
        OSError: the file cannot be written.
    """
    content = dict(about, format=FORMAT, batch=_pack(batch), random=random_state)
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def read_batch(path: str | Path) -> dict[str, Any]:
    """Read what :func:`write_batch` wrote: ``batch``, ``random`` and all that was kept with it.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, holds objects whose reading would run code, or is no batch.
    """
    content = read_checkpoint(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} holds no batch; wanted a file that training left under nonfinite/")
    try:
        return {**content, "batch": _unpack(content["batch"])}
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise CheckpointError(f"{path} holds a batch that cannot be built again: {error}") from error


def _pack(value: Any) -> Any:
    """Plain values and tensors alone; whatever else is a dict of its name and its content."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        # A view would take the whole storage along.
        return value.detach().cpu().clone()
    if isinstance(value, (list, tuple)):
        return {"is": "list" if isinstance(value, list) else "tuple", "of": [_pack(each) for each in value]}
    if isinstance(value, dict):
        return {"is": "dict", "of": [(_pack(key), _pack(each)) for key, each in value.items()]}
    if isinstance(value, np.ndarray):
        numbers = value.dtype.kind in "buif"
        return {"is": "ndarray", "of": torch.from_numpy(value.copy()) if numbers else _pack(value.tolist())}
    if isinstance(value, Path):
        return str(value)
    name = type(value).__name__
    if name in _ELEMENTS and type(value) is getattr(import_module(_ELEMENTS[name]), name):
        return {"is": name, "metainfo": _pack(value.metainfo), "of": _pack(dict(value.items()))}
    if name in _SHAPES and type(value) is getattr(import_module(_SHAPES[name][0]), name):
        return {"is": name, "of": [_pack(getattr(value, attribute)) for attribute in _SHAPES[name][1]]}
    raise TypeError(f"the batch holds a {type(value).__module__}.{name}, which no batch file can hold")


def _unpack(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    name, content = value["is"], value["of"]
    if name == "list":
        return [_unpack(each) for each in content]
    if name == "tuple":
        return tuple(_unpack(each) for each in content)
    if name == "dict":
        return {_unpack(key): _unpack(each) for key, each in content}
    if name == "ndarray":
        return content.numpy() if isinstance(content, Tensor) else np.array(_unpack(content))
    if name in _ELEMENTS:
        element = getattr(import_module(_ELEMENTS[name]), name)()
        element.set_metainfo(_unpack(value["metainfo"]))
        element.set_data(_unpack(content))
        return element
    if name in _SHAPES:
        return getattr(import_module(_SHAPES[name][0]), name)(*[_unpack(each) for each in content])
    raise ValueError(f"it names {name!r}, wanted one of {', '.join([*_ELEMENTS, *_SHAPES])}")


def image_files(batch: Any) -> list[str]:
    """The image of each sample of a batch, in order; where no file is named, what else is known of it."""
    files = [_image_file(sample) for sample in _samples(batch)]
    if files or not isinstance(batch, dict) or batch.get("inputs") is None:
        return files
    return [f"image {number} of the batch" for number in range(1, len(batch["inputs"]) + 1)]


def _samples(value: Any) -> Iterator[BaseDataElement]:
    if isinstance(value, BaseDataElement):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _samples(each)


def _image_file(sample: BaseDataElement) -> str:
    named = sample.get("img_path")
    if named:
        return str(named)
    index = sample.get("sample_idx", sample.get("img_id"))
    return "an unnamed image" if index is None else f"sample {index} of the dataset"
