"""The figures of the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

from ...utils.files import atomic_path
from ..run import PRETRAINING
from .comparison import ArmSummary, Comparison, class_figures, metric_title
from .results import Results, read_curve

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
    from PIL import Image

    detectors, pairs = results.detectors, len(comparison.pairs) // len(results.detectors)
    curves, problems = _curves(results)
    figures = (
        _panels(detectors, len(results.arms), lambda axes, name: _arms(axes, results, comparison, name)),
        _panels(detectors, pairs, lambda axes, name: _pairs(axes, comparison, name)),
        _classes(results, comparison),
        curves,
    )
    drawn = [name for name, figure in zip(FIGURES, figures) if figure is not None]
    for name, figure in zip(drawn, filter(None, figures)):
        with atomic_path(folder / name) as temporary:
            figure.savefig(temporary, dpi=150)
            with Image.open(temporary) as image:  # 256 colours need a third of the bytes
                image.convert("RGB").quantize(256).save(temporary, optimize=True)
    return drawn, problems


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


def _rows(axes: Axes, names: Sequence[str], summaries: Sequence[Any], colors: Sequence[str], legend: str) -> None:
    """The names of rows, and in each the interval over seeds and, below, that over test images."""
    for row, (summary, color) in enumerate(zip(summaries, colors)):
        for found, shift, tint in ((summary.seeds, 0, color), (summary.images, 0.22, "tab:gray")):
            if found is not None:
                axes.plot(found, [row + shift] * 2, color=tint, linewidth=1.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(legend, fontsize=8)


def _arms(axes: Axes, results: Results, comparison: Comparison, detector: str) -> None:
    """A row an arm: each run, the mean and the intervals."""
    arms = [arm for arm in comparison.arms if arm.detector == detector]
    colors = [_color(results, arm.arm) for arm in arms]
    for row, (arm, color) in enumerate(zip(arms, colors)):
        axes.plot(arm.figures, [row] * arm.runs, "o", color=color, alpha=0.35, markersize=5)
        axes.plot(arm.mean, row, "D", color=color, markersize=6)
    legend = "dots: runs; diamond: mean\n95 % intervals: t, over seeds; gray, over test images"
    _rows(axes, [arm.arm for arm in arms], arms, colors, f"{metric_title(results.metric)} (%)\n{legend}")


def _pairs(axes: Axes, comparison: Comparison, detector: str) -> None:
    """A row a pair: its difference and the intervals."""
    pairs = [pair for pair in comparison.pairs if pair.detector == detector]
    for row, pair in enumerate(pairs):
        if pair.difference is not None:
            axes.plot(pair.difference, row, "o", color="tab:blue")
    legend = "difference (points), 95 % intervals\nblue: t, over seeds; gray: over test images"
    _rows(axes, [f"{pair.second} − {pair.first}" for pair in pairs], pairs, ["tab:blue"] * len(pairs), legend)
    axes.axvline(0, color="black", linewidth=0.8)


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


def _curves(results: Results) -> tuple[Figure | None, list[str]]:
    """A panel for the pretraining and each detector: the losses of each arm's runs; and the unusable curves."""
    curves: dict[tuple[str, str], list[np.ndarray]] = {}
    problems = []
    for run in results.runs:
        try:
            points = read_curve(results.folder, run)
        except ValueError as error:
            problems.append(str(error))
            continue
        if len(points):
            # Means over a fiftieth of the training each, because losses of single batches scatter too much.
            parts = np.array_split(points, min(_BINS, len(points)))
            curves.setdefault((run.kind, run.arm), []).append(np.array([part.mean(axis=0) for part in parts]))

    def draw(axes: Axes, name: str) -> None:
        for arm in results.arms:
            mine = curves.get((name, arm))
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

    kinds = {kind for kind, _ in curves}
    names = [name for name in dict.fromkeys((PRETRAINING, *results.detectors)) if name in kinds]
    return _panels(names, 4 if names else 0, draw), problems


def _color(results: Results, arm: str) -> str:
    return f"C{results.arms.index(arm) % 10}"
