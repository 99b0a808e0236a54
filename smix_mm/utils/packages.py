"""Packages that are missing or cannot be imported: which one it is, and how to fix it."""

from __future__ import annotations

import importlib.metadata
import re
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Iterator

from .errors import PackageError

_SETUP = "run `make setup` in the project's folder"
TORCH = f"{_SETUP}, or: pip install torch torchvision (of one release and one build)"
OPENMMLAB = {
    "torchvision": TORCH,
    "mmengine": f"{_SETUP}, or: pip install onedl-mmengine",
    # If the build of mmcv does not find torch, it silently leaves the operators out.
    "mmcv": f"{_SETUP}, or: pip install 'setuptools>=80,<82' ninja psutil && "
    "pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall onedl-mmcv",
    "mmpretrain": f"{_SETUP}, or: pip install onedl-mmpretrain (one that fits mmcv and mmengine)",
    "mmdet": f"{_SETUP}, or: pip install onedl-mmdetection (one that fits mmcv and mmengine)",
}


# By the name that is imported: what pip installs. Only some commands need these.
OPTIONAL = {
    "PIL": "pillow",
    "art": "adversarial-robustness-toolbox",
    "cv2": "opencv-contrib-python-headless",
    "defusedxml": "defusedxml",
    "imagecorruptions": "imagecorruptions",
    "matplotlib": "matplotlib",
    "pytorch_grad_cam": "grad-cam",
    "rich": "rich",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "submitit": "submitit",
}


def how_to_fix(package: str) -> str:
    """How to install or fix a package of :data:`OPENMMLAB` that is missing or cannot be imported."""
    if package == "mmpretrain" and transformers_conflict():
        return "pip install 'transformers<5'"
    return OPENMMLAB[package]


def transformers_conflict() -> str | None:
    """Describe why transformers 5 prevents the import of mmpretrain; None if it does not.

    mmpretrain imports its multimodal models if pycocotools and transformers are installed, and these derive from
    classes that transformers 5 no longer has. Only the packages' metadata are read, nothing is imported.
    """
    try:
        version = importlib.metadata.version("transformers")
        importlib.metadata.version("pycocotools")
    except importlib.metadata.PackageNotFoundError:
        return None
    if version.partition(".")[0] in "01234" or find_spec("mmpretrain") is None:
        return None
    return f"mmpretrain does not import beside transformers {version}; pip install 'transformers<5'"


def describe_import_error(error: BaseException) -> str | None:
    """A sentence with package, reason and fix if an import of one of :data:`OPENMMLAB` failed, else None.

    A package may raise any error while it is imported. Such an error, or one of its causes and contexts, is recognised
    by its traceback, which contains the top-level code of one of the package's modules.
    """
    for cause in chain(error):
        if isinstance(cause, PackageError):
            return str(cause)
        package = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
        if package in OPENMMLAB and find_spec(package) is None:
            return f"{package} is not installed; {how_to_fix(package)}"
        if package in OPTIONAL and find_spec(package) is None:
            return f"{package} is not installed; pip install {OPTIONAL[package]}"
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if frame.f_code.co_name == "<module>" and package in OPENMMLAB:
                return f"{package} is installed, but does not import ({first_line(cause)}); {how_to_fix(package)}"
    return None


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause or context, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def first_line(error: BaseException | str) -> str:
    """The type of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def reason_of(error: BaseException) -> str:
    """Why a config could not be used: type and first sentence of the error, and where in its code it was raised."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip() or "no message"
    if "Original Traceback" in text:  # raised in a worker of a DataLoader
        text = text.splitlines()[-1]
    text = re.split(r"\. (?=[A-Z])|, the current sys.path|\n", text)[0]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({'/'.join(Path(frames[-1].filename).parts[-2:])}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[:500]}{where}; SMIX_TRACEBACK=1 prints the traceback"
