"""What the figures of a study would have been on other test images."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import numpy as np

from ...evaluation import Detections, read_detections
from ...evaluation.average_precision import DEFINITIONS, resample
from ...utils.errors import DataError
from ..statistics import draw_images
from .results import DETECTIONS, Run

# Sums are the same to the last bits only on machines of one kind.
TOLERANCE = 1e-9


def resample_runs(
    folder: Path, runs: Sequence[Run], metric: str, samples: int, say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The figures of runs on bootstrap samples of their test set, the same samples for all of them.

    Args:
        folder: of the study.
        runs: of one detector.
        metric: the figure.
        samples: how many.
        say: is told of each run, because it takes a second on thousands of images.

    Returns:
        float64 (samples,) by run name, for the runs whose predictions are there and whole; and a
        sentence for each that is not.
    """
    if metric not in DEFINITIONS:
        return {}, [f"{metric} cannot be computed from stored predictions, so nothing is said about other test images"]
    found: dict[str, np.ndarray] = {}
    problems: list[str] = []
    first: tuple[str, Detections] | None = None
    weights = np.empty((0, 0), np.int32)
    for number, run in enumerate(runs, 1):
        say(f"{run.detector}: resampling the test images of run {number} of {len(runs)}")
        try:
            detections = read_detections(folder / run.name / DETECTIONS)
        except DataError as error:
            problems.append(str(error).replace(f"{folder}/", ""))
            continue
        if first is None:
            first = run.name, detections
            images = len(detections.images)
            once = np.ones((images, 1), np.int32)
            weights = np.hstack([once, draw_images(images, samples)])
        elif not same_test_set(detections, first[1]):
            problems.append(f"{run.name} was tested on other images or objects than {first[0]}")
            continue
        figures = resample(detections, metric, weights)
        if not abs(figures[0] - run.metrics[metric]) <= TOLERANCE:
            said = run.metrics[metric]
            problems.append(f"{run.name}: {metric} is {said} in its result, but {figures[0]} by its predictions")
        found[run.name] = figures[1:]
    return found, problems


def same_test_set(one: Detections, other: Detections) -> bool:
    """Whether two runs were tested on the same images and objects, in the same order."""
    names = ("images", "true_boxes", "true_labels", "true_image_of", "difficult")
    return one.classes == other.classes and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in names
    )
