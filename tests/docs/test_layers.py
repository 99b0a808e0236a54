"""Every import of the package follows the layers of docs/architecture.md."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "smix_mm"

# Imports that go against the table, each with its reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def layers() -> dict[str, int]:
    table = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## The layers")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (\d+) \| ([^:|]*)", table, re.MULTILINE)
    return {name: int(layer) for layer, names in rows for name in re.findall(r"`(\w+)`", names)}


def module_name(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path, top_level_only: bool = False) -> set[tuple[str, ...]]:
    """Modules of this package that a file imports, inside functions too; not those for type checkers alone."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    nodes = tree.body if top_level_only else ast.walk(tree)
    here = (*module_name(path), "__init__") if path.name == "__init__.py" else module_name(path)
    found = set()
    for node in nodes:
        if not isinstance(node, ast.ImportFrom) or id(node) in skipped:
            continue
        start = here[: len(here) - node.level] if node.level else ()
        base = (*start, *(node.module.split(".") if node.module else ()))
        for name in node.names:
            target = (*base, name.name) if (*base, name.name) in MODULES else base
            if target[0] == "smix_mm" and target in MODULES:
                found.add(target)
    return found


def test_the_table_names_every_package():
    names = {path.stem for path in PACKAGE.glob("[a-z]*") if path.is_dir() or path.suffix == ".py"}
    assert set(layers()) == names


def test_no_package_imports_from_its_own_or_a_higher_layer():
    layer, upward = layers(), {}
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
