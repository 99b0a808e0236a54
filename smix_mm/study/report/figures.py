"""The figures of the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

import numpy as np

from ...evaluation.average_precision import DEFINITIONS
from ...utils.files import atomic_path
from ..run import PRETRAINING
from .comparison import ArmSummary, Comparison, class_figures
from .results import Result, Results, read_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# By file name, what it shows.
FIGURES = {
    "arms.png": "each arm's runs, mean and 95 % intervals",
    "differences.png": "each pair's difference with 95 % intervals",
    "classes.png": "each class' figure, by arm",
    "curves.png": "training losses",
}
_BINS = 50


def draw_figures(results: Results, comparison: Comparison, folder: Path) -> tuple[list[str], list[str]]:
    """Draw the figures as PNG; equal results give equal bytes.

    Returns:
        the names of the files, and a sentence for each unusable learning curve.
    """
    curves, problems = _read_curves(results)
    detectors, pairs = results.detectors, len(comparison.pairs) // len(results.detectors)
    figures = (
        _panels(detectors, len(results.arms), lambda axes, name: _arms(axes, results, comparison, name)),
        _panels(detectors, pairs, lambda axes, name: _pairs(axes, comparison, name)),
        _classes(results, comparison),
        _curves(results, curves),
    )
    drawn = []
    for name, figure in zip(FIGURES, figures):
        if figure is not None:
            with atomic_path(folder / name) as temporary:
                _save(figure, temporary)
            drawn.append(name)
    return drawn, problems


def _save(figure: Figure, path: Path) -> None:
    """Save with 256 colours, which needs a third of the bytes."""
    from PIL import Image

    figure.savefig(path, dpi=150)
    with Image.open(path) as drawn:
        drawn.convert("RGB").quantize(256).save(path, optimize=True)


def _panels(detectors: Sequence[str], rows: int, draw: Callable[[Axes, str], None]) -> Figure | None:
    """A panel a detector, side by side."""
    from matplotlib.figure import Figure

    if not rows:
        return None
    figure = Figure(figsize=(1.8 + 4.2 * len(detectors), 0.55 * rows + 1.5), layout="constrained")
    for axes, detector in zip(figure.subplots(1, len(detectors), squeeze=False)[0], detectors):
        draw(axes, detector)
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(detector)
    return figure


def _arms(axes: Axes, results: Results, comparison: Comparison, detector: str) -> None:
    """A row an arm: each run, the mean and its interval over seeds and, below, that over test images."""
    arms = [arm for arm in comparison.arms if arm.detector == detector]
    for row, arm in enumerate(arms):
        color = _color(results, arm.arm)
        axes.plot(arm.figures, [row] * arm.runs, "o", color=color, alpha=0.35, markersize=5)
        axes.plot(arm.mean, row, "D", color=color, markersize=6)
        for found, shift, tint in ((arm.seeds, 0, color), (arm.images, 0.22, "tab:gray")):
            if found is not None:
                axes.plot(found, [row + shift] * 2, color=tint, linewidth=1.8)
    axes.set_yticks(range(len(arms)), [arm.arm for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    legend = "dots: runs; diamond: mean\n95 % intervals: t, over seeds; gray, over test images"
    axes.set_xlabel(f"{_title(results.metric)} (%)\n{legend}", fontsize=8)


def _pairs(axes: Axes, comparison: Comparison, detector: str) -> None:
    """A row a pair: its difference with the interval over seeds and, below, that over test images."""
    pairs = [pair for pair in comparison.pairs if pair.detector == detector]
    for row, pair in enumerate(pairs):
        if pair.difference is None:
            continue
        axes.plot(pair.difference, row, "o", color="tab:blue")
        for found, shift, color in ((pair.seeds, 0, "tab:blue"), (pair.images, 0.22, "tab:gray")):
            if found is not None:
                axes.plot(found, [row + shift] * 2, color=color, linewidth=1.8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(pairs)), [f"{pair.second} − {pair.first}" for pair in pairs])
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlabel("difference (points), 95 % intervals\nblue: t, over seeds; gray: over test images", fontsize=8)


def _classes(results: Results, comparison: Comparison) -> Figure | None:
    """A panel a detector, one below the other: a bar an arm and class."""
    from matplotlib.figure import Figure

    of_detector: dict[str, list[ArmSummary]] = {}
    for arm in comparison.arms:
        if class_figures(arm, results.metric):
            of_detector.setdefault(arm.detector, []).append(arm)
    if not of_detector:
        return None
    most = max(len(class_figures(arms[0], results.metric)) for arms in of_detector.values())
    width = max(6.0, 1.5 + most * (0.25 + 0.12 * len(results.arms)))
    figure = Figure(figsize=(width, 3.2 * len(of_detector)), layout="constrained")
    for axes, (detector, arms) in zip(figure.subplots(len(of_detector), 1, squeeze=False)[:, 0], of_detector.items()):
        classes = list(class_figures(arms[0], results.metric))
        thick = 0.8 / len(arms)
        for place, arm in enumerate(arms):
            names = class_figures(arm, results.metric)
            known = [label for label in classes if label in names]
            left = np.array([classes.index(label) for label in known]) - 0.4 + (place + 0.5) * thick
            heights = [arm.means[names[label]] for label in known]
            axes.bar(left, heights, thick, color=_color(results, arm.arm), label=arm.arm)
            errors = [arm.deviations[names[label]] or 0 for label in known]
            if any(errors):
                axes.errorbar(left, heights, errors, fmt="none", ecolor="black", elinewidth=0.7)
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
        axes.set_xlim(-0.6, len(classes) - 0.4)
        axes.set_ylim(0, 105)
        axes.set_ylabel("AP (%), mean ± sd")
        axes.set_title(detector)
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, ncols=4, loc="outside upper center")
    return figure


def _read_curves(results: Results) -> tuple[dict[str, list[tuple[Result, Any]]], list[str]]:
    curves: dict[str, list[tuple[Result, Any]]] = {}
    problems = []
    for run in results.runs:
        try:
            points = read_curve(results.folder, run)
        except ValueError as error:
            problems.append(str(error))
            continue
        if points:
            curves.setdefault(run.kind, []).append((run, np.array(points)))
    return curves, problems


def _curves(results: Results, curves: Mapping[str, Sequence[tuple[Result, Any]]]) -> Figure | None:
    """A panel for the pretraining and each detector: the losses of each arm's runs."""
    if not curves:
        return None
    names = [name for name in (PRETRAINING, *results.detectors) if name in curves]
    names = list(dict.fromkeys(names))

    def draw(axes: Axes, name: str) -> None:
        for arm in results.arms:
            mine = [_thinned(points) for run, points in curves[name] if run.arm == arm]
            if not mine:
                continue
            steps = np.linspace(max(points[0, 0] for points in mine), min(points[-1, 0] for points in mine), _BINS)
            losses = np.array([np.interp(steps, points[:, 0], points[:, 1]) for points in mine])
            color = _color(results, arm)
            axes.plot(steps, losses.mean(axis=0), color=color, linewidth=1.3, label=f"{arm} ({len(mine)})")
            axes.fill_between(steps, losses.min(axis=0), losses.max(axis=0), color=color, alpha=0.15, linewidth=0)
        axes.set_xlabel("step")
        axes.set_ylabel("training loss: mean, lowest to highest", fontsize=8)
        axes.legend(fontsize=8)

    return _panels(names, 4, draw)


def _thinned(points: np.ndarray) -> np.ndarray:
    """Means over a fiftieth of the training each, because losses of single batches scatter too much."""
    return np.array([part.mean(axis=0) for part in np.array_split(points, min(_BINS, len(points)))])


def _color(results: Results, arm: str) -> str:
    return f"C{results.arms.index(arm) % 10}"


def _title(metric: str) -> str:
    return DEFINITIONS[metric].title if metric in DEFINITIONS else metric
