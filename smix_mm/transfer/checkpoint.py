"""Reading checkpoints without running anything that is in them."""

from __future__ import annotations

import argparse
import ast
import hashlib
import pickle
import re
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import torch
from torch import Tensor

from ..utils.errors import CheckpointError

TORCH_WANTED = ", or use torch 2.5 or newer, which reads what training wrote without unpickling"


def read_checkpoint(path: str | Path) -> Any:
    """Read a checkpoint onto the CPU with ``weights_only=True``.

    Beyond tensors and plain containers only what mmengine and timm write is allowed: mmengine's
    HistoryBuffer, numpy's numbers and arrays of them, and argparse's Namespace. What was changed
    after ``torch.save`` wrote it is noticed by the file's own checksums; files in torch's format
    from before 1.6 have none.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or holds objects whose reading would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} is not there; wanted a file that torch.save wrote")
    # Releases of torch without an allow-list read plain state dicts only, and refuse the rest.
    allow_list = getattr(torch.serialization, "safe_globals", lambda allowed: nullcontext())
    try:
        _check_sums(path)
        with allow_list(_allowed()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message is a page; the one line that names the culprit is this.
        named = re.search(r"Unpickler error: (.*?)(?: by default|$)", str(error), re.MULTILINE)
        reason = named.group(1) if named else str(error).split("\n")[0]
        newer = "" if hasattr(torch.serialization, "safe_globals") else TORCH_WANTED
        raise CheckpointError(
            f"checkpoint {path} is refused: it holds more than weights and plain values ({reason}); "
            f"save its state_dict alone with torch.save and give that{newer}"
        ) from error
    # A damaged file can end the reader anywhere, with any error.
    except Exception as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise CheckpointError(f"checkpoint {path} cannot be read, perhaps it is cut short: {reason}") from error


def _check_sums(path: Path) -> None:
    """torch itself does not look whether a tensor's bytes are still those that it wrote."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                raise ValueError("its end is missing")
        return
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of its part {damaged} is wrong")


def _allowed() -> list[Any]:
    core: Any = getattr(np, "_core", None)
    if not hasattr(core, "multiarray"):  # numpy 1.26 has a hollow `_core` already
        core = np.core
    allowed: list[Any] = [np.ndarray, np.dtype, argparse.Namespace]
    # numpy 2 moved these; a checkpoint names them as the numpy that wrote it did.
    for function in (core.multiarray._reconstruct, core.multiarray.scalar):
        allowed += [(function, f"numpy.{place}.multiarray.{function.__name__}") for place in ("core", "_core")]
    allowed += [
        type(np.dtype(kind)) for kind in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    ]
    try:
        from mmengine.logging.history_buffer import HistoryBuffer
    except ImportError:
        return allowed

    def history_method(owner: object, name: str) -> Any:
        """Stands in for ``getattr``, by which a HistoryBuffer refers to its own methods."""
        if owner is HistoryBuffer and name in ("min", "max", "current", "mean"):
            return getattr(HistoryBuffer, name)
        raise pickle.UnpicklingError(f"an attribute {name!r} of {owner!r} is asked for")

    return [*allowed, HistoryBuffer, (history_method, "builtins.getattr")]


def state_dict_hash(state_dict: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        tensor = state_dict[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def literal_assignments(text: str) -> dict[str, Any]:
    """The plain assignments of a config's text, read without executing it.

    Understands literals, lists, tuples, dicts and ``dict(name=value)``: what mmengine writes
    into a checkpoint's ``meta['cfg']``. Whatever else an assignment holds, it is left out.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    found: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = _literal(statement.value)
                except ValueError:
                    continue
    return found


def _literal(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        content: dict[Any, Any] = {}
        for argument in node.args:
            content.update(_literal(argument))
        content.update({keyword.arg: _literal(keyword.value) for keyword in node.keywords if keyword.arg})
        return content
    return ast.literal_eval(node)
