"""A test set's predictions and ground truth, and the file that keeps them."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic_path

FORMAT = 1

# Field of Detections: its type, the shape of one entry, and the field that is as long.
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
    """What a detector found on a test set, and what is there.

    Boxes are ``(x1, y1, x2, y2)`` in pixels of the original image, as MMDetection has them: the
    ground truth of a VOC dataset is the annotation's corners less 1.

    Attributes:
        classes: the names of the C classes.
        images: the ids of the N images, in the dataset's order, array of strings.
        boxes: (D, 4) float32, the found boxes, image by image.
        scores: (D,) float32.
        labels: (D,) int16, in 0 to C - 1.
        image_of: (D,) int32, the place in ``images`` of the image that the box was found in.
        true_boxes: (G, 4) float32, the objects that are there.
        true_labels: (G,) int16.
        true_image_of: (G,) int32.
        difficult: (G,) bool; such an object is neither to be found nor wrong to find.

    Raises:
        DataError: the arrays do not fit each other, or hold a value that is no number.
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
            array, wanted = getattr(self, name), (len(getattr(self, like)), *shape)
            if array.dtype != dtype or array.shape != wanted:
                raise DataError(f"{name} is {array.dtype} {array.shape}; wanted {np.dtype(dtype)} {wanted}")
        for names, limit in (
            (("labels", "true_labels"), len(self.classes)),
            (("image_of", "true_image_of"), len(self.images)),
        ):
            for name in names:
                array = getattr(self, name)
                if ((array < 0) | (array >= limit)).any():
                    raise DataError(f"{name} has {array.min()} to {array.max()}; wanted 0 to {limit - 1}")
        for name, images in (("boxes", self.image_of), ("scores", self.image_of), ("true_boxes", self.true_image_of)):
            wrong = np.argwhere(~np.isfinite(getattr(self, name)))
            if len(wrong):
                raise DataError(
                    f"{name} of image {self.images[images[wrong[0][0]]]} hold what is no number; wanted finite "
                    "numbers: a training that diverged gives such"
                )

    def write(self, path: str | Path) -> None:
        """Write ``detections.npz``, whole or not at all; equal content gives equal bytes."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, format=np.int64(FORMAT), classes=np.array(self.classes, str), images=self.images, **arrays
            )

    @classmethod
    def stack(cls, classes: Sequence[str], samples: Sequence[Mapping[str, Any]]) -> Detections:
        """Join the images of a test set.

        Args:
            classes: the names of the classes.
            samples: an entry an image: ``image`` (its id) and this image's ``boxes``, ``scores``,
                ``labels``, ``true_boxes``, ``true_labels`` and ``difficult``, arrays as above.
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
    """Read ``detections.npz``; nothing in it is executed.

    Raises:
        DataError: the file is not there, is damaged or cut off, or is no such file.
    """
    if not Path(path).is_file():
        raise DataError(f"{path} is not there; wanted the detections.npz that DetectionMetric(out=...) writes")
    # Python's zipfile answers a damaged header that names an unknown compression with NotImplementedError.
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in ("format", "classes", "images", *_ARRAYS)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}); wanted a whole detections.npz: "
            "test the detector again"
        ) from error
    found = content.pop("format")
    if found != FORMAT:
        raise DataError(f"{path} has format {found}; wanted {FORMAT}: test the detector again")
    try:
        return Detections(tuple(map(str, content.pop("classes"))), **content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
