"""Callbacks on imports, on modules made for the purpose."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import threading
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from smix_mm.utils import import_hooks
from smix_mm.utils.import_hooks import when_imported


@pytest.fixture
def make(monkeypatch, tmp_path):
    """A function that writes modules under names that nothing else has; what they leave is taken away."""
    monkeypatch.syspath_prepend(tmp_path)
    before, waiting = set(sys.modules), dict(import_hooks._finder.waiting)

    def write(name: str, text: str = "value = 1\n") -> str:
        path = tmp_path / (name.replace(".", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]
    import_hooks._finder.waiting.clear()
    import_hooks._finder.waiting.update(waiting)
    assert not waiting or import_hooks._finder in sys.meta_path


def test_a_callback_runs_right_after_the_import_and_once(make):
    name, seen = make("hooked_once"), []
    when_imported(name, lambda module: seen.append((module.__name__, module.value)))
    assert seen == []
    importlib.import_module(name)
    importlib.import_module(name)
    importlib.reload(sys.modules[name])
    assert seen == [(name, 1)]


def test_for_a_module_that_is_imported_it_runs_at_once(make):
    name, seen = make("hooked_late"), []
    module = importlib.import_module(name)
    when_imported(name, seen.append)
    assert seen == [module] and name not in import_hooks._finder.waiting


def test_it_runs_before_the_importing_code_goes_on_and_after_the_module_s_own(make):
    hooked = make("hooked_order", "import sys\nsys.hooked_order = ['module']\n")
    make("hooking_order", "import hooked_order, sys\nsys.hooked_order.append('importer')\n")
    when_imported(hooked, lambda module: sys.hooked_order.append("first"))
    when_imported(hooked, lambda module: sys.hooked_order.append("second"))
    importlib.import_module("hooking_order")
    assert sys.hooked_order == ["module", "first", "second", "importer"]
    del sys.hooked_order


def test_a_submodule_is_waited_for_while_its_package_is_imported(make):
    make("hooked_package.__init__", "from .inner import value\n")
    make("hooked_package.inner")
    seen = []
    when_imported("hooked_package.inner", lambda module: seen.append("hooked_package" in sys.modules))
    assert importlib.import_module("hooked_package").value == 1
    assert seen == [True]


def test_spec_loader_and_source_are_those_of_an_import_without_hook(make):
    name = make("hooked_spec", "own = __loader__, __spec__.loader\n")
    when_imported(name, lambda module: None)
    assert isinstance(importlib.util.find_spec(name).loader.get_code(name), type(make.__code__))
    module = importlib.import_module(name)
    for loader in (module.__loader__, module.__spec__.loader, *module.own):
        assert type(loader) is SourceFileLoader
    assert module.__spec__ == importlib.util.spec_from_file_location(name, module.__file__)
    assert module.__spec__.cached == module.__cached__
    assert "own = " in inspect.getsource(module)


def test_a_failing_import_fails_as_ever_and_the_next_try_runs_the_callback(make):
    name, seen = make("hooked_failing", "raise TypeError('NoneType takes no arguments')\n"), []
    when_imported(name, seen.append)
    with pytest.raises(TypeError, match="NoneType takes no arguments"):
        importlib.import_module(name)
    assert seen == [] and name not in sys.modules
    make("hooked_failing", "value = 2  # of another size, so that no cached bytecode is taken\n")
    assert importlib.import_module(name).value == 2
    assert seen == [sys.modules[name]]


def test_a_module_that_is_nowhere_is_not_found_as_ever(make):
    when_imported("hooked_nowhere", lambda module: None)
    assert importlib.util.find_spec("hooked_nowhere") is None
    with pytest.raises(ModuleNotFoundError, match="No module named 'hooked_nowhere'"):
        importlib.import_module("hooked_nowhere")


def test_a_module_that_replaces_itself_is_handed_over_replaced(make):
    name, seen = make("hooked_replaced", "import sys\nsys.modules[__name__] = sys\n"), []
    when_imported(name, seen.append)
    importlib.import_module(name)
    assert seen == [sys]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="before Python 3.10 zip files are imported in the old way")
def test_two_modules_of_one_zip_file_share_a_loader_and_only_the_hooked_one_calls(make, monkeypatch, tmp_path):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("hooked_zip.py", "import other_zip\n")
        file.writestr("other_zip.py", "")
    monkeypatch.syspath_prepend(archive)
    seen = []
    when_imported("hooked_zip", seen.append)
    module = importlib.import_module("hooked_zip")
    assert seen == [module] and Path(module.__file__).parent == archive


def test_threads_that_import_together_run_it_once(make):
    name, seen = make("hooked_threads", "import time\ntime.sleep(0.05)\n"), []
    when_imported(name, seen.append)
    threads = [threading.Thread(target=importlib.import_module, args=[name]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [sys.modules[name]]


def test_the_finder_goes_when_nothing_is_waited_for_and_comes_back(make, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [one for one in sys.meta_path if one is not import_hooks._finder])
    monkeypatch.setattr(import_hooks._finder, "waiting", {})
    plain = list(sys.meta_path)
    for name in ("hooked_first", "hooked_second"):
        when_imported(make(name), lambda module: None)
        assert sys.meta_path == [import_hooks._finder, *plain]
        importlib.import_module(name)
        assert sys.meta_path == plain


def test_a_callback_may_import_and_wait_for_more(make):
    outer, inner, seen = make("hooked_outer"), make("hooked_inner"), []

    def callback(module):
        when_imported(inner, seen.append)
        importlib.import_module(inner)

    when_imported(outer, callback)
    importlib.import_module(outer)
    assert seen == [sys.modules[inner]]
