"""Every import of the package follows the layers of docs/architecture.md, and that page's figures show them."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "smix_mm"

_spec = importlib.util.spec_from_file_location("figures_layers", ROOT / "docs/figures/layers.py")
figures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(figures)
MODULES, imported = figures.MODULES, figures.imported

# Imports that go against the table, each with its reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def test_the_table_names_every_package():
    names = {path.stem for path in PACKAGE.glob("[a-z]*") if path.is_dir() or path.suffix == ".py"}
    assert set(figures.read_layers()) == names


def test_no_package_imports_from_its_own_or_a_higher_layer():
    layer, upward = figures.read_layers(), {}
    for name, path in MODULES.items():
        if len(name) == 1:
            continue  # the package itself hands out names of mixing, when they are asked for
        for target in imported(path):
            if len(target) == 1:
                continue
            if target[1] != name[1] and layer[target[1]] >= layer[name[1]]:
                upward[".".join(name[1:]), ".".join(target[1:])] = path
    assert sorted(set(upward) - set(EXCEPTIONS)) == []
    assert sorted(set(EXCEPTIONS) - set(upward)) == [], "an exception that is not needed any more"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: imported(path) - {name} for name, path in MODULES.items()}
    # A package's own __init__ only hands out what its modules define.
    graph = {name: {t for t in targets if t != name[: len(t)]} for name, targets in graph.items()}
    done: set[tuple[str, ...]] = set()

    def visit(name: tuple[str, ...], way: list[tuple[str, ...]]) -> None:
        assert name not in way, " -> ".join(".".join(each) for each in [*way[way.index(name) :], name])
        if name in done:
            return
        for target in sorted(graph[name]):
            visit(target, [*way, name])
        done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("figure", ["layers", "batch"])
def test_the_figures_show_the_imports_and_steps_of_today(figure):
    drawn = json.loads(Image.open(ROOT / f"docs/figures/{figure}.png").text["Description"])
    expected = getattr(figures, f"{figure}_data")()
    assert drawn == expected, "run `python docs/figures/layers.py`"
    assert expected["layers"] and all(expected.values())
