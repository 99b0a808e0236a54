"""Draws the two figures of docs/architecture.md from the code and from that page's tables.

    python docs/figures/layers.py

``layers.png`` shows the packages by layer and the imports between them, ``batch.png`` the packages that a training
batch passes through. Each PNG contains its data as JSON; tests/docs/test_layers.py compares them with the code.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "smix_mm"
FIGURES = Path(__file__).parent

# Where each package is in the figure, from 0 to 4, chosen so that few arrows pass behind a box.
COLUMNS = {
    "cli": 2.2, "doctor": 3.9, "new_config": 1.8, "experiments": 1.0, "benchmarks": 1.0, "analysis": 2.9, "study": 3.9,
    "visualization": 3.0, "robustness": 0.4, "engine": 1.3, "datasets": 3.15, "preflight": 0.5, "models": 2.4,
    "transforms": 0.1,
    "batch_augments": 1.5, "evaluation": 4.2, "transfer": 3.5, "mixing": 2.0, "saliency": 0.8, "registration": 3.4,
}  # fmt: skip

Module = tuple[str, ...]


def section(heading: str) -> str:
    """The part of docs/architecture.md under a heading of the second level."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def read_layers() -> dict[str, int]:
    """The layer of every package, from the table."""
    rows = re.findall(r"^\| (\d+) \| ([^:|]*)", section("The layers"), re.MULTILINE)
    return {name: int(layer) for layer, names in rows for name in re.findall(r"`(\w+)`", names)}


def read_steps() -> list[list[str]]:
    """Name and package of every step of a batch, from the table; a step outside smix_mm has the package "config"."""
    rows = re.findall(r"^\| \d+ \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", section("A training batch"), re.MULTILINE)
    found = ((name, re.search(r"`smix_mm/(\w+)", place)) for name, place in rows)
    return [[name, package[1] if package else "config"] for name, package in found]


def module_name(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> set[Module]:
    """Modules of this package that a file imports, inside functions too; not those for type checkers alone."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    here = (*module_name(path), "__init__") if path.name == "__init__.py" else module_name(path)
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in skipped:
            continue
        start = here[: len(here) - node.level] if node.level else ()
        base = (*start, *(node.module.split(".") if node.module else ()))
        for name in node.names:
            target = (*base, name.name) if (*base, name.name) in MODULES else base
            if target[0] == "smix_mm" and target in MODULES:
                found.add(target)
    return found


def read_imports() -> list[list[str]]:
    """Every pair of packages of which the first imports the second."""
    pairs = {
        (name[1], target[1])
        for name, path in MODULES.items()
        if len(name) > 1
        for target in imported(path)
        if len(target) > 1 and target[1] != name[1]
    }
    return sorted(map(list, pairs))


def layers_data() -> dict:
    return {"layers": read_layers(), "imports": read_imports()}


def batch_data() -> dict:
    return {"layers": read_layers(), "steps": read_steps()}


def implied(imports: list[list[str]]) -> set[tuple[str, str]]:
    """The imports between packages that are connected by a chain of other imports as well."""
    after: dict[str, set[str]] = {}
    for package, target in imports:
        after.setdefault(package, set()).add(target)

    def reached(package: str) -> set[str]:
        return after.get(package, set()).union(*map(reached, after.get(package, ())))

    return {(a, b) for a, b in imports if any(b in reached(other) for other in after[a] - {b})}


def box(axes, x: float, y: float, text: str, size: float) -> None:
    frame = dict(boxstyle="round,pad=0.33", facecolor="white", edgecolor="#344054", linewidth=1)
    axes.text(x, y, text, ha="center", va="center", fontsize=size, zorder=3, bbox=frame)


def draw_layers(data: dict, file: Path) -> None:
    import matplotlib.pyplot as plt

    layers = data["layers"]
    everywhere = [name for name, layer in layers.items() if layer == 0]
    drawn = [pair for pair in data["imports"] if pair[1] not in everywhere]
    above = {name: layer for name, layer in layers.items() if layer}
    at = {name: (COLUMNS.get(name, 2.0), layer) for name, layer in above.items()}
    figure, axes = plt.subplots(figsize=(8.5, 8), layout="constrained")
    for layer in range(max(layers.values()) + 1):
        axes.axhspan(layer - 0.5, layer + 0.5, color="#f2f4f7" if layer % 2 else "white", zorder=0)
        axes.text(-0.75, layer, str(layer), ha="center", va="center", color="#667085", fontsize=11)
    light = implied(drawn)
    for package, target in drawn:
        minor = (package, target) in light
        head = "-|>,head_width=0.16,head_length=0.32"
        colour, width = ("#b8c0cc", 0.7) if minor else ("#1d5fa8", 1.4)
        arrow = dict(arrowstyle=head, color=colour, linewidth=width, shrinkA=0, shrinkB=0)
        start, end = (at[package][0], at[package][1] - 0.27), (at[target][0], at[target][1] + 0.27)
        axes.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=1 if minor else 2)
    for name, (x, y) in at.items():
        box(axes, x, y, name, 10.5)
    note = f"{', '.join(everywhere)}: every package above may import these (arrows not drawn)"
    box(axes, 2.1, 0, note, 10.5)
    axes.set(xlim=(-1, 4.7), ylim=(-0.5, max(layers.values()) + 0.5), yticks=[], xticks=[])
    axes.set_frame_on(False)
    save(figure, data, file)


def draw_batch(data: dict, file: Path) -> None:
    import matplotlib.pyplot as plt

    steps = data["steps"]
    packages = {package for _, package in steps}
    lanes = ["config", *sorted(packages - {"config"}, key=lambda name: -data["layers"][name])]
    row = {name: len(lanes) - 1 - number for number, name in enumerate(lanes)}
    figure, axes = plt.subplots(figsize=(12, 0.75 * len(lanes) + 0.5), layout="constrained")
    for name, y in row.items():
        axes.axhspan(y - 0.5, y + 0.5, color="#f2f4f7" if y % 2 else "white", zorder=0)
        label = "mmpretrain, config" if name == "config" else name
        axes.text(-0.6, y, label, ha="right", va="center", fontsize=11, color="#344054")
    points = [(number, row[package]) for number, (_, package) in enumerate(steps)]
    axes.plot(*zip(*points), color="#1d5fa8", linewidth=1.4, zorder=1)
    for (x, y), (name, _) in zip(points, steps):
        box(axes, x, y, f"{x + 1}\n{name}", 9)
    axes.set(xlim=(-2.8, len(steps) - 0.4), ylim=(-0.5, len(lanes) - 0.5), xticks=[], yticks=[])
    axes.set_frame_on(False)
    save(figure, data, file)


def save(figure, data: dict, file: Path) -> None:
    # No release of matplotlib in the file, so that the same data give the same file under the same release.
    figure.savefig(file, dpi=110, metadata={"Software": None, "Description": json.dumps(data)})


if __name__ == "__main__":
    draw_layers(layers_data(), FIGURES / "layers.png")
    draw_batch(batch_data(), FIGURES / "batch.png")
