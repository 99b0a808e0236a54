"""Reading checkpoints without unpickling arbitrary objects."""

from __future__ import annotations

import argparse
import ast
import hashlib
import pickle
import re
import zipfile
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import torch
from torch import Tensor

from ..utils.errors import CheckpointError, PackageError
from ..utils.text import first_few

TORCH_NEEDED = "torch 2.5 or newer"
_AGAIN = "copy or download it again"
_RESAVE = "load it where it comes from, and save its state_dict with torch.save"
_UNLISTED = "which torch cannot list"
# torch.save before torch 1.6 writes this number first, as a pickle.
_OLD_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"


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
        if _check_format(path) == "safetensors":
            return _read_safetensors(path)
        with allow_list(_allowed()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (CheckpointError, PackageError):
        raise
    except pickle.UnpicklingError as error:
        # torch's own message recommends weights_only=False, so it is not shown.
        newer = "" if reads_training_checkpoints() else f", or use {TORCH_NEEDED}"
        with allow_list(_allowed()):
            culprits = _unsafe_names(path, str(error))
        if not culprits and (protocol := _pickle_protocol(path)) > 2:
            raise CheckpointError(
                f"checkpoint {path} is refused: it should be saved with pickle protocol 2, got {protocol}, which torch "
                "cannot read safely; save its state_dict with torch.save, without pickle_protocol, and give that file"
            ) from None
        raise CheckpointError(
            f"checkpoint {path} is refused: it holds more than weights and plain values ({culprits or _UNLISTED}); "
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


def _check_format(path: Path) -> str:
    """``'torch'`` or ``'safetensors'``, by the file's content; torch does not compare the checksums of its files."""
    with open(path, "rb") as file:
        start = file.read(512)
    if start[8:9] == b"{":  # after the length of the header
        return "safetensors"
    if start.startswith(b"\x80") and _OLD_MAGIC in start[:32]:
        return "torch"
    what = "not a file of torch.save or safetensors, or damaged at its start"
    fix = f"{_AGAIN}, or decompress it if it is compressed"
    if not start:
        what, fix = "empty", _AGAIN
    elif start.startswith(b"version https://git-lfs.github.com/"):
        what, fix = "a Git LFS pointer, not the file itself", "run git lfs pull"
    elif re.match(rb"\s*<(!doctype|html|\?xml|error)", start, re.IGNORECASE):
        what, fix = "a web page that was saved under this name", "download the file itself"
    elif start[257:262] == b"ustar":
        what, fix = "a tar archive", "extract it with tar -xf, and give the checkpoint inside"
    elif start.startswith(b"\x80"):
        what, fix = "a raw pickle, which torch.save did not write", _RESAVE
    elif start.startswith(b"PK") and not zipfile.is_zipfile(path):
        what, fix = "cut short: its end is missing", _AGAIN
    elif start.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
            damaged = archive.testzip()
        if "data.pkl" in names and "constants.pkl" not in names and damaged is None:
            return "torch"
        if "constants.pkl" in names:
            what, fix = "a TorchScript archive", _RESAVE
        elif "data.pkl" not in names:
            what, fix = "a zip archive that torch.save did not write", _RESAVE
        else:
            what, fix = f"damaged: the checksum of its part {damaged!r} is wrong", _AGAIN
    raise CheckpointError(f"checkpoint {path} cannot be read: it is {what}; {fix}")


def _unsafe_names(path: Path, reason: str) -> str:
    """The functions and classes because of which torch may refuse a file, else the one in its reason; may be empty."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # an old torch, torch's format from before 1.6, another protocol or a damaged file
        names = []
    names = names or re.findall(r"GLOBAL (\S+)", reason)
    # Python pickles os.system under the name of the module that implements it.
    names = [re.sub(r"^(posix|nt)\.", "os.", name) for name in sorted(names)]
    return first_few(names, 3)


def _pickle_protocol(path: Path) -> int:
    """Protocol of the pickle in a file of torch.save."""
    with open(path, "rb") as file:
        start = file.read(2)
    if start == b"PK":
        with zipfile.ZipFile(path) as archive:
            start = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    return start[1]


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
