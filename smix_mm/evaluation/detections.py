"""Predictions and ground truth of a test set, and the file format for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic_path

FORMAT = 1

# By field of Detections: dtype, shape of one entry, and the field of the same length.
_ARRAYS: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "boxes": (np.float32, (4,), "boxes"),
    "scores": (np.float32, (), "boxes"),
    "labels": (np.int16, (), "boxes"),
    "image_of": (np.int32, (), "boxes"),
    "true_boxes": (np.float32, (4,), "true_boxes"),
    "true_labels": (np.int16, (), "true_boxes"),
    "true_image_of": (np.int32, (), "true_boxes"),
    "difficult": (np.bool_, (), "true_boxes"),
}


@dataclass(frozen=True)
class Detections:
    """Detections and ground truth of a test set.

    Boxes are ``(x1, y1, x2, y2)`` in pixels of the original image, as in MMDetection: the ground
    truth of a VOC dataset is the annotation's corners minus 1.

    Attributes:
        classes: Names of the C classes.
        images: (N,) str, ids of the images, in the dataset's order.
        boxes: (D, 4) float32, detected boxes, image by image.
        scores: (D,) float32.
        labels: (D,) int16, in 0 to C - 1.
        image_of: (D,) int32, index in ``images`` of the image of each detection.
        true_boxes: (G, 4) float32, boxes of the objects.
        true_labels: (G,) int16, in 0 to C - 1.
        true_image_of: (G,) int32, index in ``images`` of the image of each object.
        difficult: (G,) bool; a difficult object need not be detected, and its detections are not counted as false.

    Raises:
        DataError: Dtypes, shapes or indices are not as above, or a value is NaN or infinite.
    """

    classes: tuple[str, ...]
    images: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    image_of: np.ndarray
    true_boxes: np.ndarray
    true_labels: np.ndarray
    true_image_of: np.ndarray
    difficult: np.ndarray

    def __post_init__(self) -> None:
        for name, (dtype, shape, like) in _ARRAYS.items():
            array, expected = getattr(self, name), (len(getattr(self, like)), *shape)
            if array.dtype != dtype or array.shape != expected:
                raise DataError(f"{name} should be {np.dtype(dtype)} {expected}, got {array.dtype} {array.shape}")
        for name in ("labels", "true_labels", "image_of", "true_image_of"):
            array, limit = getattr(self, name), len(self.classes if "labels" in name else self.images)
            if ((array < 0) | (array >= limit)).any():
                raise DataError(f"{name} should be in 0 to {limit - 1}, got {array.min()} to {array.max()}")
        for name, images in (("boxes", self.image_of), ("scores", self.image_of), ("true_boxes", self.true_image_of)):
            wrong = np.argwhere(~np.isfinite(getattr(self, name)))
            if len(wrong):
                raise DataError(
                    f"{name} of image {self.images[images[wrong[0][0]]]} should be finite, got NaN or infinity; "
                    "did the training diverge?"
                )

    def write(self, path: str | Path) -> None:
        """Write a file ``detections.npz`` atomically; equal content gives equal bytes."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, format=np.int64(FORMAT), classes=np.array(self.classes, str), images=self.images, **arrays
            )

    @classmethod
    def stack(cls, classes: Sequence[str], samples: Sequence[Mapping[str, Any]]) -> Detections:
        """Concatenate the images of a test set: for each a dict with its id ``image`` and the arrays ``boxes``,
        ``scores``, ``labels``, ``true_boxes``, ``true_labels`` and ``difficult``, as above.
        """
        arrays: dict[str, np.ndarray] = {}
        for name, (dtype, shape, boxes) in _ARRAYS.items():
            if name.endswith("image_of"):
                parts = [np.full(len(sample[boxes]), place) for place, sample in enumerate(samples)]
            else:
                parts = [np.asarray(sample[name]).reshape(-1, *shape) for sample in samples]
            arrays[name] = np.concatenate([np.zeros((0, *shape)), *parts]).astype(dtype)
        return cls(tuple(classes), np.array([str(sample["image"]) for sample in samples], str), **arrays)


def read_detections(path: str | Path) -> Detections:
    """Read a file ``detections.npz`` without unpickling.

    Raises:
        DataError: The file does not exist, is damaged or incomplete, or is another kind of file.
    """
    if not Path(path).is_file():
        raise DataError(f"{path} does not exist; DetectionMetric(out=...) writes it")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in ("format", "classes", "images", *_ARRAYS)}
    except Exception as error:  # damaged archives and arrays raise many kinds of errors
        reason = f"{type(error).__name__}; it is damaged or not written by DetectionMetric(out=...)"
        raise DataError(f"{path} cannot be read ({reason}); test the detector again") from error
    found = content.pop("format")
    if found != FORMAT:
        raise DataError(f"the format of {path} should be {FORMAT}, got {found}; test the detector again")
    try:
        return Detections(tuple(map(str, content.pop("classes"))), **content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
