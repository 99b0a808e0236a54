"""Packages that are absent or do not import: which one it is, and how to fix it."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec
from typing import Iterator

from .errors import PackageError

_SETUP = "run `make setup` in the project's folder"
TORCH = f"{_SETUP}, or: pip install torch torchvision (of one release and one build)"
OPENMMLAB = {
    "torchvision": TORCH,
    "mmengine": f"{_SETUP}, or: pip install onedl-mmengine",
    # mmcv leaves its operators out, without a word, when its build cannot see torch.
    "mmcv": f"{_SETUP}, or: pip install 'setuptools>=80,<82' ninja psutil && "
    "pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall onedl-mmcv",
    "mmpretrain": f"{_SETUP}, or: pip install onedl-mmpretrain (one that fits mmcv and mmengine)",
    "mmdet": f"{_SETUP}, or: pip install onedl-mmdetection (one that fits mmcv and mmengine)",
}


def how_to_fix(package: str) -> str:
    """What to do about a package of OpenMMLab that is absent or does not import."""
    if package == "mmpretrain" and transformers_conflict():
        return "pip install 'transformers<5'"
    return OPENMMLAB[package]


def transformers_conflict() -> str | None:
    """Say that transformers 5 keeps mmpretrain from being imported, or None where it does not.

    mmpretrain takes its multimodal models in where the metadata of pycocotools and transformers are there,
    and these derive from names that transformers 5 no longer has. Nothing is imported to find this out.
    """
    version = _installed("transformers")
    if version is None or version.partition(".")[0] in "01234" or _installed("pycocotools") is None:
        return None
    if find_spec("mmpretrain") is None:
        return None
    return f"mmpretrain does not import beside transformers {version}; pip install 'transformers<5'"


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe_import_error(error: BaseException) -> str | None:
    """Name the package of OpenMMLab, or torchvision, that kept something from being imported.

    A package may raise anything while it is imported; that it did is seen from the traceback, which passes
    through the code of one of its modules. Errors that were raised while it was handled count as it.

    Args:
        error: what ended the work.

    Returns:
        One sentence with the package, the reason and how to fix it, or None where it was no import of one of
        these packages that failed.
    """
    for cause in chain(error):
        if isinstance(cause, PackageError):
            return str(cause)
        package = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
        if package in OPENMMLAB and find_spec(package) is None:
            return f"{package} is not installed; {how_to_fix(package)}"
        package = next((one for one in _packages_being_imported(cause) if one in OPENMMLAB), "")
        if package:
            return f"{package} is installed, but does not import ({first_line(cause)}); {how_to_fix(package)}"
    return None


def _packages_being_imported(error: BaseException) -> Iterator[str]:
    """Top-level packages whose modules were being executed when the error was raised, the outermost first."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_name == "<module>":
            yield str(frame.f_globals.get("__name__", "")).partition(".")[0]
        traceback = traceback.tb_next


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and what was being handled at the time."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def first_line(error: BaseException | str) -> str:
    """Type and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
