"""Which format a checkpoint's file has, and what its pickle refers to; nothing is unpickled here."""

from __future__ import annotations

import pickletools
import re
import tarfile
import zipfile
from pathlib import Path
from typing import IO

from ..utils.errors import CheckpointError
from ..utils.text import first_few

_AGAIN = "copy or download it again"
_RESAVE = "load it where it comes from, and save its state_dict with torch.save"
_BY_START = {
    b"version https://git-lfs.github.com/": ("a Git LFS pointer, not the file itself", "run git lfs pull"),
    b"\x1f\x8b": ("compressed with gzip", "decompress it with gunzip"),
    b"BZh": ("compressed with bzip2", "decompress it with bunzip2"),
    b"\xfd7zXZ\0": ("compressed with xz", "decompress it with unxz"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "decompress it with unzstd"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, as Keras writes", _RESAVE),
    b"\x93NUMPY": ("an array of NumPy", _RESAVE),
}
# torch.save before torch 1.6 writes this number first, as a pickle.
_OLD_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"
# What a state dict refers to, and the classes of read_checkpoint.
_SAFE = re.compile(
    r"torch\.\w+|torch\.(_utils|_tensor|storage|serialization|nn\.parameter)\.\w+|collections\.(OrderedDict|Counter)|"
    r"_codecs\.encode|numpy\.(ndarray|dtype)|numpy\.(dtypes|_?core\.multiarray)\.\w+|argparse\.Namespace|"
    r"mmengine\.logging\.history_buffer\.HistoryBuffer|builtins\.(getattr|set)"
)


def check_format(path: Path) -> str:
    """``'torch'`` or ``'safetensors'``, by the file's content.

    Raises:
        CheckpointError: The file has another format or is cut short; the message names the format.
        Exception: A zip file is damaged.
    """
    with open(path, "rb") as file:
        start = file.read(512)
    if found := next((found for magic, found in _BY_START.items() if start.startswith(magic)), None):
        raise _refusal(path, *found)
    if not start:
        raise _refusal(path, "empty", _AGAIN)
    if re.match(rb"\s*<(!doctype|html|\?xml|error)", start, re.IGNORECASE):
        raise _refusal(path, "a web page that was saved under this name", "download the file itself")
    if start.startswith(b"PK"):
        _check_zip(path)
        return "torch"
    if start[257:262] == b"ustar":
        with tarfile.open(path) as archive:
            members = {name.strip("./") for name in archive.getnames()[:20]}
        if {"storages", "tensors", "pickle"} <= members:
            raise _refusal(path, "a tar file as torch before 0.1.10 wrote it", _RESAVE)
        raise _refusal(path, "a tar archive", "extract it with tar -xf, and give the checkpoint inside")
    if start[8:9] == b"{":  # after the length of the header
        return "safetensors"
    if start.startswith(b"\x80"):
        if _OLD_MAGIC in start[:32]:
            return "torch"
        raise _refusal(path, "a raw pickle, which torch.save did not write", _RESAVE)
    # ONNX is a protobuf message: its version, a small number, then the producer or the graph.
    if path.suffix == ".onnx" or (start[0] == 8 and start[1:2] < b"\x20" and start[2:3] in b"\x12\x1a\x3a"):
        raise _refusal(path, "a model of ONNX", "give the checkpoint that it was exported from")
    raise _refusal(path, "not a file of torch.save or safetensors, or damaged at its start", _AGAIN)


def _refusal(path: Path, what: str, fix: str) -> CheckpointError:
    return CheckpointError(f"checkpoint {path} cannot be read: it is {what}; {fix}")


def _check_zip(path: Path) -> None:
    """Check that torch.save wrote a zip file, and compare its checksums, which torch does not."""
    if not zipfile.is_zipfile(path):
        raise _refusal(path, "cut short: its end is missing", _AGAIN)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        ends = {name.rpartition("/")[2] for name in names}
        if "constants.pkl" in ends:
            raise _refusal(path, "a TorchScript archive", _RESAVE)
        if names and all(name.endswith(".npy") for name in names):
            raise _refusal(path, "an archive of NumPy (.npz)", _RESAVE)
        if "data.pkl" not in ends:
            listed = first_few([repr(name) for name in names], 2) or "nothing"
            raise _refusal(path, f"a zip archive that torch.save did not write, with {listed}", _RESAVE)
        if (damaged := archive.testzip()) is not None:
            raise _refusal(path, f"damaged: the checksum of its part {damaged!r} is wrong", _AGAIN)


def unsafe_names(path: Path) -> list[str]:
    """Functions and classes that a file of torch.save refers to, except those that a state dict needs."""
    names: list[str] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for part in archive.namelist():
                if part.endswith("/data.pkl"):
                    with archive.open(part) as pickle:
                        _collect_names(pickle, names)
    else:
        with open(path, "rb") as file:
            try:
                for _ in range(4):  # magic number, version, machine, content
                    _collect_names(file, names)
            except ValueError:  # a damaged pickle
                pass
    # Python pickles os.system under the name of the module that implements it.
    public = [re.sub(r"^(posix|nt)\.", "os.", name) for name in dict.fromkeys(names)]
    return [name for name in public if not _SAFE.fullmatch(name)]


def _collect_names(pickle: IO[bytes], names: list[str]) -> None:
    strings, memo = [""], []
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            names.append(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.append(".".join(strings[-2:]))
        elif opcode.name == "MEMOIZE":
            memo.append(strings[-1])
        elif opcode.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int) and argument < len(memo):
            strings.append(memo[argument])
        elif isinstance(argument, str):
            strings.append(argument)
