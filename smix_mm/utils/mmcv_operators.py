"""The operators behind :mod:`mmcv.ops`: mmcv's compiled ones, or torchvision's as replacements.

mmcv imports its operators from a module ``mmcv._ext``. After :func:`install`, that import gives mmcv's own module if
it exists and loads, and :mod:`smix_mm.utils.torchvision_operators` otherwise.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any, Callable, TypeVar

from .errors import MissingOperatorError

NAME = "mmcv._ext"

HOW_TO_COMPILE = (
    "to compile mmcv's own, run `make setup MMCV_OPS=1` in the folder of smix_mm, or, in another environment, "
    "`pip install 'setuptools>=80,<82' ninja psutil && pip install --no-build-isolation --no-cache-dir --no-deps "
    "--force-reinstall onedl-mmcv`; both need a C++ compiler, and CUDA's nvcc for a GPU"
)

# Why mmcv's compiled module did not load; empty if it does not exist or is used.
load_error = ""

_replacements: list[str] = []
Operator = TypeVar("Operator", bound=Callable[..., Any])


def missing(operator: str) -> MissingOperatorError:
    """The error for an operator that is neither compiled nor replaced."""
    return MissingOperatorError(f"mmcv's operator {operator} is not compiled and has no replacement: {HOW_TO_COMPILE}")


def install() -> None:
    """Let ``import mmcv._ext`` find operators; has no effect on what was imported before."""
    if not any(isinstance(finder, _OperatorsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OperatorsFinder())


def describe() -> str:
    """Describe the operators that this process runs, as a phrase; imports :mod:`mmcv.ops`."""
    ops = import_module("mmcv.ops")
    if sys.modules[NAME].__name__ != NAME:
        return _describe_replacements()
    cuda = ops.get_compiling_cuda_version()
    return f"compiled by mmcv ({'CPU' if cuda == 'not available' else f'CUDA {cuda}'})"


def replacement(function: Operator) -> Operator:
    """Decorate a function that replaces the mmcv operator of the same name; the first call of any logs it."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        _log_once()
        return function(*args, **kwargs)

    _replacements.append(function.__name__)
    return run  # type: ignore[return-value]


def _describe_replacements() -> str:
    names = sorted({re.sub("_(forward|backward).*", "", name) for name in _replacements})
    reason = "none are compiled"
    if load_error:
        reason = f"mmcv's own do not load: {load_error}; they were compiled for another torch"
    return f"torchvision's in place of mmcv's ({reason}): {', '.join(names)}; any other raises when it is called"


@functools.lru_cache(None)
def _log_once() -> None:
    # Not on import, when the run has no log file yet. Only rank 0 logs, by mmengine's rule.
    from mmengine.logging import print_log

    level = logging.WARNING if load_error else logging.INFO
    print_log(f"Operators: {_describe_replacements()}", logger="current", level=level)


class _OperatorsFinder(MetaPathFinder):
    # First in sys.meta_path, because only there can it replace a compiled module that is found but does not load.

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(NAME, _OperatorsLoader(PathFinder.find_spec(NAME, path))) if name == NAME else None


class _OperatorsLoader(Loader):
    def __init__(self, compiled: ModuleSpec | None) -> None:
        self.compiled = compiled

    def exec_module(self, module: ModuleType) -> None:
        """Put the operators' module into ``sys.modules`` in place of ``module``."""
        global load_error
        load_error = ""
        if self.compiled is not None and self.compiled.loader is not None:
            try:
                sys.modules[NAME] = module_from_spec(self.compiled)
                self.compiled.loader.exec_module(sys.modules[NAME])
                return
            except ImportError as error:
                load_error = str(error)
        sys.modules[NAME] = import_module("smix_mm.utils.torchvision_operators")
