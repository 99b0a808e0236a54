"""Callbacks that run when a module is imported by other code."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, List

Callback = Callable[[ModuleType], object]


def when_imported(name: str, callback: Callback) -> None:
    """Call ``callback(module)`` once, right after the module ``name`` is imported, or now if it already is.

    The callback runs before the import statement returns, in the importing thread. Callbacks of the same
    module run in the order of registration. If the import fails, none runs, and all stay registered for the
    next import. An exception in a callback propagates from the import statement. A module in ``sys.modules`` counts
    as imported, even during its own import.
    """
    module = sys.modules.get(name)
    if module is not None:
        callback(module)
        return
    _finder.waiting.setdefault(name, []).append(callback)
    if _finder not in sys.meta_path:
        # First, since the finder that knows the module ends the search.
        sys.meta_path.insert(0, _finder)


class _Finder(MetaPathFinder):
    """Uses the other finders, and wraps the loader of a module that callbacks wait for."""

    def __init__(self) -> None:
        self.waiting: Dict[str, List[Callback]] = {}

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        for finder in sys.meta_path:
            # Old finders have no find_spec.
            find_spec = None if finder is self else getattr(finder, "find_spec", None)
            spec = find_spec and find_spec(fullname, path, target)
            if spec is not None:
                # Python 3.9 has loaders without it, for namespace packages and zip files.
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None

    def finished(self, module: ModuleType, name: str) -> None:
        for callback in self.waiting.pop(name, []):
            callback(module)
        if not self.waiting:
            # A new list, because another thread may be iterating over the old one.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]


class _Loader(Loader):
    """Wraps a module's loader until it has executed the module."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        # The module itself should show its original loader.
        spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        # Python returns what is in sys.modules, which the module's code may have replaced.
        _finder.finished(sys.modules.get(spec.name, module), spec.name)


_finder = _Finder()
