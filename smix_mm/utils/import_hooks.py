"""Code that runs the moment somebody imports a module, so that the module need not be imported for it."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, List

Callback = Callable[[ModuleType], object]


def when_imported(name: str, callback: Callback) -> None:
    """Call ``callback(module)`` once, right after the module ``name`` is imported; at once where it already is.

    The callback runs before the import statement returns, in the importing thread. Several callbacks of one
    module run in the order in which they were given. An import that fails runs none and leaves them for the
    next try; so does one for which no module is found. What a callback raises ends that import statement.

    Args:
        name: full name of the module, such as ``'mmengine.registry'``. A module in ``sys.modules`` counts as
            imported, even while its own import is still going on.
        callback: gets the module.
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
    """Finds what the other finders find, and of the modules waited for puts a loader of its own around theirs."""

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
                # Python 3.9 has loaders without it, for namespace packages and zip files; they stay as they are.
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None

    def finished(self, module: ModuleType, name: str) -> None:
        """Run what waited for this module."""
        for callback in self.waiting.pop(name, []):
            callback(module)
        if not self.waiting:
            # A new list, for another thread may be going through this one and would miss a finder.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]


class _Loader(Loader):
    """Stands for a module's own loader until that executes the module."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        # The module's code, and whoever looks at the module later, find its own loader.
        spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        # Python returns what is in sys.modules, which the module's code may have replaced.
        _finder.finished(sys.modules.get(spec.name, module), spec.name)


_finder = _Finder()
