"""Predictions that the tests of this room share."""

import xml.etree.ElementTree as ElementTree
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from smix_mm.evaluation import Detections

VOC_CLASSES = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]


def perturbed(truth: list, classes: list[str], seed: int) -> Detections:
    """Predictions near and far of the objects, some twice, some of a wrong class; no two scores equal."""
    rng = np.random.default_rng(seed)
    scores = iter(rng.permutation(20000).astype(np.float32) / 20000)
    samples = []
    for name, boxes, labels, difficult in truth:
        copies = rng.integers(0, 4, len(boxes))
        near = np.repeat(boxes, copies, axis=0)
        near = near + rng.normal(0, 0.12, near.shape) * np.tile(near[:, 2:] - near[:, :2] + 1, 2)
        far = rng.uniform(0, 150, (rng.integers(0, 6), 4))
        far[:, 2:] += far[:, :2]
        found = np.concatenate([near, far])
        guesses = np.concatenate([np.repeat(labels, copies), rng.integers(0, len(classes), len(far))])
        guesses = np.where(rng.random(len(guesses)) < 0.1, rng.integers(0, len(classes), len(guesses)), guesses)
        samples.append(
            dict(
                image=name,
                boxes=found,
                scores=[next(scores) for _ in found],
                labels=guesses,
                true_boxes=boxes,
                true_labels=labels,
                difficult=difficult,
            )
        )
    return Detections.stack(classes, samples)


def drawn_truth(images: int, classes: int, seed: int) -> list:
    """Objects at random whole pixels; the last class has none, the one before only difficult ones."""
    rng = np.random.default_rng(seed)
    truth = []
    for image in range(images):
        count = rng.integers(0, 7)
        boxes = rng.integers(0, 200, (count, 4)).astype(float)
        boxes[:, 2:] = boxes[:, :2] + rng.integers(5, 120, (count, 2))
        labels = rng.integers(0, classes - 1, count)
        truth.append((f"{image:06d}", boxes, labels, (rng.random(count) < 0.2) | (labels == classes - 2)))
    return truth


def voc_truth(folder: Path) -> list:
    """The objects of the VOC07 test set, as MMDetection reads them."""
    truth = []
    for name in (folder / "ImageSets/Main/test.txt").read_text().split():
        objects = ElementTree.parse(folder / f"Annotations/{name}.xml").findall("object")
        corners = ("xmin", "ymin", "xmax", "ymax")
        boxes = [[int(one.find("bndbox").find(corner).text) - 1 for corner in corners] for one in objects]
        labels = [VOC_CLASSES.index(one.find("name").text) for one in objects]
        difficult = [one.find("difficult").text == "1" for one in objects]
        truth.append((name, np.array(boxes, float).reshape(-1, 4), np.array(labels, int), np.array(difficult, bool)))
    return truth


@pytest.fixture
def mmdet_evaluation(monkeypatch):
    """``mmdet.evaluation`` in threads: it leaves its processes to the garbage collector, which at times never ends."""
    evaluation = pytest.importorskip("mmdet.evaluation")
    monkeypatch.setattr("mmdet.evaluation.functional.mean_ap.Pool", ThreadPool)
    return evaluation


@pytest.fixture(scope="session", params=["drawn", "voc"])
def detections(request: pytest.FixtureRequest) -> Detections:
    """Predictions for drawn objects of 7 classes, two of them without any to find, and for the small VOC's test set."""
    if request.param == "drawn":
        return perturbed(drawn_truth(60, 7, seed=3), list("abcdefg"), seed=4)
    folder = request.getfixturevalue("smix_data") / "VOCdevkit/VOC2007"
    return perturbed(voc_truth(folder), VOC_CLASSES, seed=5)


@pytest.fixture(scope="session")
def few_detections() -> Detections:
    """Predictions for 12 images of drawn objects."""
    return perturbed(drawn_truth(12, 5, seed=6), list("vwxyz"), seed=7)
