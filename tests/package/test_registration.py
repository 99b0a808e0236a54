"""The registered classes are found after ``import smix_mm`` alone, in any order of other imports."""

from __future__ import annotations

import ast
import json
import sys
from itertools import permutations
from pathlib import Path

import pytest

from smix_mm.registration import REGISTERED, LateModules
from smix_mm.utils.errors import PackageError
from smix_mm.utils.packages import OPENMMLAB

PACKAGE = Path(__file__).parents[2] / "smix_mm"
HOMES = [
    (registries, registry, name, home)
    for registries, by_registry in REGISTERED.items()
    for registry, homes in by_registry.items()
    for name, home in homes.items()
]


def decorated() -> list[tuple[str, str, str, str]]:
    """Every class and function of the package under ``@REGISTRY.register_module()``."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        body = ast.parse(path.read_text("utf-8")).body
        sources = {name.name: line.module for line in body if isinstance(line, ast.ImportFrom) for name in line.names}
        home = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for definition in body:
            for decorator in getattr(definition, "decorator_list", []):
                text = ast.unparse(decorator)
                if text.endswith(".register_module()"):
                    registry = text.partition(".")[0]
                    found.append((sources[registry], registry, definition.name, home))
    return found


def test_the_table_names_every_registered_class_with_its_registry_and_module():
    assert len(HOMES) > 20
    assert sorted(HOMES) == sorted(decorated())


LOOK_UP = """
import sys
from importlib import import_module

for module in sys.argv[2:]:
    import_module(module)
import json
from smix_mm.registration import REGISTERED

found = {}
for module, by_registry in REGISTERED.items():
    for registry, homes in by_registry.items():
        for name in homes:
            value = getattr(import_module(module), registry).get(name)
            found[f"{module} {registry} {name}"] = f"{value.__module__}.{value.__qualname__}"
# From children of mmengine's registries, which do not import their parents' locations.
from mmdet.registry import DATASETS, HOOKS, LOOPS, METRICS, OPTIM_WRAPPERS, TRANSFORMS
from mmengine.registry import FUNCTIONS, init_default_scope

assert "LoadProofHook" in HOOKS and "NoSuchHook" not in HOOKS
assert LOOPS.get("ExactIterBasedTrainLoop").__name__ == "ExactIterBasedTrainLoop"
assert OPTIM_WRAPPERS.get("Bfloat16OptimWrapper").__name__ == "Bfloat16OptimWrapper"
init_default_scope("mmdet")
assert type(TRANSFORMS.build(dict(type="SanitizeBoxes"))).__name__ == "SanitizeBoxes"
assert DATASETS.get("mmpretrain.InMemoryDataset").__name__ == "InMemoryDataset"
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


def look_up(run_tool, tmp_path, *modules: str) -> None:
    run_tool(sys.executable, "-c", LOOK_UP, tmp_path / "found.json", *modules)
    expected = {f"{where} {registry} {name}": f"smix_mm.{home}.{name}" for where, registry, name, home in HOMES}
    assert json.loads((tmp_path / "found.json").read_text()) == expected


ORDERS = list(permutations(("smix_mm", "mmpretrain", "mmdet")))


@pytest.mark.parametrize("order", [("smix_mm",), ORDERS[3]], ids="-".join)
def test_every_registered_class_is_found_in_a_new_process(order, run_tool, tmp_path):
    look_up(run_tool, tmp_path, *order)


@pytest.mark.long
@pytest.mark.parametrize("order", [order for order in ORDERS if order != ORDERS[3]], ids="-".join)
def test_every_registered_class_is_found_in_every_order_of_imports(order, run_tool, tmp_path):
    look_up(run_tool, tmp_path, *order)


FROM_MMENGINE = """
import multiprocessing
import sys

import smix_mm


def look_up(name):
    from mmengine.registry import HOOKS

    return HOOKS.get(name).__module__


if __name__ == "__main__":
    from mmengine.registry import HOOKS, Registry

    child = Registry("hook", parent=HOOKS, scope="project", locations=[])
    assert child.get("LoadProofHook").__module__ == "smix_mm.engine.hooks"
    assert "mmpretrain" not in sys.modules and "mmcv" not in sys.modules
    for start in ("fork", "spawn"):
        with multiprocessing.get_context(start).Pool(1) as pool:
            print(start, pool.apply(look_up, ["MixSheetHook"]))
"""


def test_the_registry_of_another_project_and_child_processes_find_them_without_importing_mmpretrain(run_tool, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(FROM_MMENGINE)
    out = run_tool(script, cwd=tmp_path).stdout
    for start in ("fork", "spawn"):
        assert f"{start} smix_mm.visualization.mix_sheet_hook" in out


@pytest.fixture
def late():
    return LateModules({"Own": int}, {"saliency_mix": "mixing.functional", "Nothing": "mixing.functional"})


def test_the_table_of_a_registry_is_a_dict_that_imports_on_lookup(late):
    assert dict(late) == {"Own": int} and len(late) == 1
    assert "Missing" not in late
    with pytest.raises(KeyError, match="Missing"):
        late["Missing"]
    # Imported, but without such a name.
    assert "Nothing" not in late and "smix_mm.mixing.functional" in sys.modules
    for _ in range(2):
        assert "saliency_mix" in late
        assert late["saliency_mix"] is sys.modules["smix_mm.mixing.functional"].saliency_mix
        assert late.pop("saliency_mix") and len(late) == 1


def test_a_module_that_does_not_import_affects_only_its_own_names(monkeypatch, tmp_path):
    (tmp_path / "mmdet.py").write_text("class Model(None):\n    pass\n")
    (tmp_path / "needs_mmdet.py").write_text("import mmdet\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mmdet", raising=False)
    monkeypatch.setattr("smix_mm.registration.import_module", lambda name: __import__("needs_mmdet"))
    late = LateModules({"Own": int}, {"Broken": "somewhere"})
    assert "Own" in late and "Other" not in late
    for _ in range(2):
        with pytest.raises(PackageError) as caught:
            assert "Broken" in late
        assert str(caught.value) == (
            "Broken cannot be used: mmdet is installed, but does not import (TypeError: NoneType takes no arguments); "
            f"{OPENMMLAB['mmdet']}"
        )
        assert isinstance(caught.value.__cause__, TypeError)
