"""mmcv's operators: compiled where mmcv has them, otherwise torchvision's in their place.

mmcv looks its operators up in a module ``mmcv._ext``. After :func:`install`, importing that module gives mmcv's own
wherever it loads, and :mod:`smix_mm.utils.torchvision_operators` where it is missing or does not load.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType

from .errors import MissingOperatorError

NAME = "mmcv._ext"

HOW_TO_COMPILE = (
    "to compile mmcv's own, run `make setup MMCV_OPS=1` in the folder of smix_mm, or, in another environment, "
    "`pip install 'setuptools>=80,<82' ninja psutil && pip install --no-build-isolation --no-cache-dir --no-deps "
    "--force-reinstall onedl-mmcv`; both need a C++ compiler, and CUDA's nvcc for a GPU"
)

# Why compiled operators that are there are not used; empty where there are none, or where they are used.
load_error = ""


def missing(operator: str) -> MissingOperatorError:
    """The error for an operator that was called, is not compiled, and that nothing stands in for."""
    return MissingOperatorError(
        f"mmcv's operator {operator} is not compiled, and nothing stands in for it: {HOW_TO_COMPILE}"
    )


def install() -> None:
    """Let ``import mmcv._ext`` find operators. What was imported before stays as it is."""
    if not any(isinstance(finder, _OperatorsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OperatorsFinder())


def describe() -> str:
    """Which operators this process runs, as a phrase; imports :mod:`mmcv.ops`."""
    ops = import_module("mmcv.ops")
    module = sys.modules[NAME]
    if module.__name__ != NAME:
        return module.describe()
    cuda = ops.get_compiling_cuda_version()
    return f"compiled by mmcv ({'CPU' if cuda == 'not available' else f'CUDA {cuda}'})"


class _OperatorsFinder(MetaPathFinder):
    # First in sys.meta_path, because only there it learns of a compiled module that is found but does not load.

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(NAME, _OperatorsLoader(PathFinder.find_spec(NAME, path))) if name == NAME else None


class _OperatorsLoader(Loader):
    def __init__(self, compiled: ModuleSpec | None) -> None:
        self.compiled = compiled

    def exec_module(self, module: ModuleType) -> None:
        """Put the operators in the place of ``module``, as a module may do with itself while it is imported."""
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
