"""Reading checkpoints without unpickling arbitrary objects."""

from __future__ import annotations

import argparse
import ast
import hashlib
import pickle
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import torch
from torch import Tensor

from ..utils.errors import CheckpointError, PackageError
from ..utils.text import first_few
from .file_formats import check_format, unsafe_names

TORCH_NEEDED = "torch 2.5 or newer"


def reads_training_checkpoints() -> bool:
    """Whether this torch can read the checkpoints of a training with ``weights_only=True``.

    Older releases have no list of allowed classes, and read plain state dicts only.
    """
    return hasattr(torch.serialization, "safe_globals")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU with ``torch.load(..., weights_only=True)``.

    In addition to tensors and plain containers, only what mmengine and timm write is allowed: mmengine's
    ``HistoryBuffer``, NumPy's scalars and numeric arrays, and ``argparse.Namespace``. The file's checksums are
    compared, so that a change after ``torch.save`` is found; files in torch's format from before 1.6 have none.

    Args:
        path: A file of ``torch.save`` with a dict, or one of safetensors; its content decides which.

    Returns:
        The dict: a checkpoint, or a plain state dict (see :func:`state_dict_of`).

    Raises:
        FileNotFoundError: The file does not exist.
        CheckpointError: The file has another format, is damaged, contains objects whose unpickling could run code, or
            is not a dict.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"checkpoint {path} {what}; give a file that torch.save wrote")
    allow_list: Any = torch.serialization.safe_globals if reads_training_checkpoints() else nullcontext
    try:
        if check_format(path) == "safetensors":
            return _read_safetensors(path)
        with allow_list(_allowed()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (CheckpointError, PackageError):
        raise
    except pickle.UnpicklingError:
        # torch's own message recommends weights_only=False, so it is not shown.
        newer = "" if reads_training_checkpoints() else f", or use {TORCH_NEEDED}"
        names = first_few(unsafe_names(path), 3) or "or its pickle is damaged"
        raise CheckpointError(
            f"checkpoint {path} is refused: it holds more than weights and plain values ({names}); "
            f"save only its state_dict with torch.save and give that file{newer}"
        ) from None
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    # Reading a damaged file can raise any error.
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read: it is damaged or incomplete ({type(error).__name__}); copy or download "
            "it again"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"checkpoint {path} should hold a dict of weights, got a {type(content).__name__}")
    return content


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise PackageError(f"safetensors, which {path} needs, is not installed; pip install safetensors") from None
    return dict(load_file(path))


def state_dict_of(content: Mapping[str, Any]) -> Any:
    """The entry ``state_dict`` of a checkpoint; of a plain state dict, itself."""
    return content.get("state_dict", content)


def _allowed() -> list[Any]:
    core: Any = getattr(np, "_core", None)
    if not hasattr(core, "multiarray"):  # numpy 1.26 has a `_core` with little in it
        core = np.core
    allowed: list[Any] = [np.ndarray, np.dtype, argparse.Namespace]
    # numpy 2 moved these; a checkpoint has the names of the numpy that wrote it.
    for function in (core.multiarray._reconstruct, core.multiarray.scalar):
        allowed += [(function, f"numpy.{module}.multiarray.{function.__name__}") for module in ("core", "_core")]
    allowed += [
        type(np.dtype(kind)) for kind in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    ]
    try:
        from mmengine.logging.history_buffer import HistoryBuffer
    except ImportError:
        return allowed

    def history_method(owner: object, name: str) -> Any:
        """Replaces ``getattr``, by which a pickled HistoryBuffer refers to its methods."""
        if owner is HistoryBuffer and name in ("min", "max", "current", "mean"):
            return getattr(HistoryBuffer, name)
        raise pickle.UnpicklingError(f"it refers to an attribute {name!r} of {owner!r}")

    return [*allowed, HistoryBuffer, (history_method, "builtins.getattr")]


def state_dict_hash(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, dtypes, shapes and bytes of all tensors, sorted by name, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        tensor = state_dict[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def literal_assignments(text: str) -> dict[str, Any]:
    """Values by name of the assignments in a config's text, which is not executed.

    Literals, lists, tuples, dicts and ``dict(name=value)`` are evaluated, other assignments skipped. The dict is empty
    if the text is not valid Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    found: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(target := statement.targets[-1], ast.Name):
            with suppress(ValueError, TypeError):
                found[target.id] = _literal(statement.value)
    return found


def _literal(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        content = {keyword.arg: _literal(keyword.value) for keyword in node.keywords if keyword.arg}
        return {key: value for argument in node.args for key, value in dict(_literal(argument)).items()} | content
    return ast.literal_eval(node)
