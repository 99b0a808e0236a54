"""Batches and random states: saved at the start of each iteration, and written to files for a replay.

Reading such a file executes no code from it: data structures are stored as their name and their content, and only
those listed here are built again.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...transfer.checkpoint import read_checkpoint
from ...utils.errors import CheckpointError
from ...utils.files import atomic_path
from ...utils.random_state import generator_owners, get_cpu_state, set_cpu_state

FORMAT = "smix_mm batch 1"

# Modules of the structures that a batch may contain besides plain values; mmdet need not be installed.
_ELEMENTS = {
    "BaseDataElement": "mmengine.structures",
    "InstanceData": "mmengine.structures",
    "LabelData": "mmengine.structures",
    "PixelData": "mmengine.structures",
    "DataSample": "mmpretrain.structures",
    "MultiTaskDataSample": "mmpretrain.structures",
    "DetDataSample": "mmdet.structures",
}
# Modules of further classes, and the attributes that they are built from.
_SHAPES = {
    "HorizontalBoxes": ("mmdet.structures.bbox", ("tensor",)),
    "BitmapMasks": ("mmdet.structures.mask", ("masks", "height", "width")),
    "PolygonMasks": ("mmdet.structures.mask", ("masks", "height", "width")),
}


def write_batch(path: str | Path, batch: Any, random_state: dict[str, Any], **about: Any) -> None:
    """Write a batch of a data loader, the random state before it was used, and plain values, to a file atomically.

    Raises:
        TypeError: The batch contains an object of an unsupported class.
        OSError: The file cannot be written.
    """
    content = dict(about, format=FORMAT, batch=_pack(batch), random=random_state)
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def read_batch(path: str | Path) -> dict[str, Any]:
    """Read a file of :func:`write_batch`: a dict of ``batch``, ``random`` (the random state) and the plain values.

    Raises:
        FileNotFoundError: The file does not exist.
        CheckpointError: The file is damaged, contains objects whose unpickling could run code, or is not a batch.
    """
    content = read_checkpoint(path)
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{path} should hold a batch; give a file that training has written to nonfinite/")
    try:
        return {**content, "batch": _unpack(content["batch"])}
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise CheckpointError(f"the batch in {path} cannot be built: {error}") from error


def _pack(value: Any) -> Any:
    """Convert to plain values and tensors; any other object becomes a dict of its name and content."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        # Cloned, because of a view torch.save writes the whole storage.
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
    raise TypeError(f"a batch file cannot hold a {type(value).__module__}.{name}")


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
    raise ValueError(f"class names should be one of {', '.join([*_ELEMENTS, *_SHAPES])}, got {name!r}")


def image_files(batch: Any) -> list[str]:
    """The image file of each sample of a batch, in order, or a description such as 'sample 3 of the dataset'."""
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
    path = sample.get("img_path")
    if path:
        return str(path)
    index = sample.get("sample_idx", sample.get("img_id"))
    return "an unnamed image" if index is None else f"sample {index} of the dataset"


class IterationSnapshot:
    """The batch, the buffers of the model (not wrapped) and the random state at the start of an iteration.

    Because it is taken at every iteration, it copies as little as possible, and reads nothing from a GPU.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.owners = [owner for _, owner in generator_owners(model)]
        self.buffers: list[Tensor] = []
        self.batch: Any = None

    def take(self, batch: Any) -> None:
        """Save the current state, and the batch."""
        self.batch = copy_batch(batch)
        buffers = list(self.model.buffers())
        if [buffer.shape for buffer in buffers] == [saved.shape for saved in self.buffers]:
            _copy(self.buffers, buffers)
        else:
            self.buffers = [buffer.detach().clone() for buffer in buffers]
        self.on_cpu = get_cpu_state()
        self.on_gpu = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        self.generators = [owner.generator and owner.generator.get_state() for owner in self.owners]
        # Of RecursiveMix; a history is replaced, never changed.
        self.histories = [getattr(owner, "history", None) for owner in self.owners]

    def restore_buffers(self) -> None:
        """Restore running statistics, all other buffers, and the last batches of batch augmentations."""
        _copy(list(self.model.buffers()), self.buffers)
        for owner, history in zip(self.owners, self.histories):
            if hasattr(owner, "history"):
                owner.history = history

    def restore_random_state(self) -> None:
        """Restore the global generators and those of the model and its batch augmentations."""
        set_cpu_state(self.on_cpu)
        if self.on_gpu is not None:
            torch.cuda.set_rng_state(self.on_gpu)
        for owner, state in zip(self.owners, self.generators):
            if state is None:
                owner.generator = None
            else:
                owner.generator.set_state(state)


def copy_batch(batch: Any) -> Any:
    """Copy what training changes in a batch: containers, samples and the tensors in samples.

    Images and metainfo, which training does not change, are shared with ``batch``.
    """
    if isinstance(batch, dict):
        return {key: copy_batch(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [copy_batch(value) for value in batch]
    if isinstance(batch, BaseDataElement):
        return _copy_element(batch)
    return batch


def _copy_element(element: BaseDataElement) -> BaseDataElement:
    copied = element.__class__.__new__(element.__class__)
    content = dict(element.__dict__)
    for name in element._data_fields & content.keys():  # properties are fields too, but not in __dict__
        value = content[name]
        if isinstance(value, BaseDataElement):
            content[name] = _copy_element(value)
        elif hasattr(value, "clone"):  # tensors and boxes
            content[name] = value.clone()
    for name in ("_data_fields", "_metainfo_fields"):
        content[name] = set(content[name])
    copied.__dict__.update(content)
    return copied


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    with torch.no_grad():
        if targets and hasattr(torch, "_foreach_copy_"):  # torch 2.1 or newer; launches few kernels
            torch._foreach_copy_(targets, sources)
        else:
            for target, source in zip(targets, sources):
                target.copy_(source)
