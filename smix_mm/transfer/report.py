"""The table and the figure of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from ..fileio import atomic_path, write_json, write_text

ACCURACY = "accuracy/top1"


def write_report(name: str, results: Mapping[str, Mapping[str, Any]], metric: str, folder: Path) -> str:
    """Print the table of a study and write it as ``table.md``, ``results.json`` and ``table.png``.

    Args:
        name: the study's title.
        results: ``result.json`` of each arm, by name; the first arm is the one compared with.
        metric: the figure compared, in 0 to 1.
        folder: where to write.

    Returns:
        the table, in Markdown.
    """
    table = format_table(results, metric)
    write_text(folder / "table.md", f"# {name}\n\n{table}")
    write_json(folder / "results.json", dict(name=name, metric=metric, results=dict(results)))
    draw_figure(name, results, metric, folder / "table.png")
    print(f"\n{table}\nWritten: {folder / 'table.md'}, results.json, table.png", flush=True)
    return table


def format_table(results: Mapping[str, Mapping[str, Any]], metric: str) -> str:
    """One line an arm: accuracy of the pretraining, each detector's figure in percent, its difference."""
    first = next(iter(results))
    detectors = list(results[first]["detection"])
    name = metric.rpartition("/")[2]
    heads = [f"{detector} {name} % | difference from {first}" for detector in detectors]
    lines = [
        f"| arm | pretraining top-1 % | {' | '.join(heads)} |",
        "| --- |" + " ---: |" * (1 + 2 * len(detectors)),
    ]
    for arm, result in results.items():
        accuracy = result["pretraining"].get(ACCURACY)
        cells = [arm, "not measured" if accuracy is None else f"{accuracy:.1f}"]
        for detector in detectors:
            figure = result["detection"][detector][metric]
            difference = figure - results[first]["detection"][detector][metric]
            cells += [f"{100 * figure:.1f}", "" if arm == first else f"{100 * difference:+.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    seeds = sorted({result["seed"] for result in results.values()})
    lines += [
        "",
        f"One run an arm (seed {', '.join(map(str, seeds))}): a change of seed alone moves such figures, "
        "so no arm is shown to be better than another.",
    ]
    return "\n".join(lines) + "\n"


def draw_figure(name: str, results: Mapping[str, Mapping[str, Any]], metric: str, path: Path) -> None:
    """A panel a detector, a point an arm, as PNG."""
    from matplotlib.figure import Figure

    arms = list(results)
    detectors = list(results[arms[0]]["detection"])
    figure = Figure(figsize=(1.5 + 4 * len(detectors), 0.6 * len(arms) + 1.4), layout="constrained")
    for axes, detector in zip(figure.subplots(1, len(detectors), squeeze=False)[0], detectors):
        figures = [100 * results[arm]["detection"][detector][metric] for arm in arms]
        axes.plot(figures, range(len(arms)), "o", color="tab:blue")
        for place, value in enumerate(figures):
            axes.annotate(f"{value:.1f}", (value, place), xytext=(0, 7), textcoords="offset points", ha="center")
        axes.set_yticks(range(len(arms)), arms)
        axes.set_ylim(len(arms) - 0.4, -0.7)
        # From zero, or a small difference would look large.
        axes.set_xlim(0, max(1.2 * max(figures), 1))
        axes.grid(axis="x", alpha=0.3)
        axes.set_xlabel(f"{detector}: {metric.rpartition('/')[2]} (%), one run an arm")
    figure.suptitle(name)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
