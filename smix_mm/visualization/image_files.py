"""Finding and reading image files, and cropping images to one size."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Iterator, Sequence

import numpy as np

from ..datasets.check.images import has_image_suffix
from ..utils.errors import DataError, UsageError

SKIMAGE = "skimage:"


def list_images(places: Sequence[str | Path]) -> list[Path]:
    """The given image files, and all image files in the given folders and their subfolders, sorted within a folder.

    ``skimage:NAME`` is a photograph that comes with scikit-image, such as ``skimage:astronaut.png``.

    Raises:
        UsageError: a file or folder does not exist, or there is no image.
    """
    found: list[Path] = []
    for place in places:
        path = Path(place)
        if str(place).startswith(SKIMAGE):
            spec = find_spec("skimage")
            if spec is None or not spec.submodule_search_locations:
                raise UsageError(f"{place} needs scikit-image: pip install scikit-image")
            path = Path(spec.submodule_search_locations[0], "data", str(place)[len(SKIMAGE) :])
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if has_image_suffix(file.name, readable=True))
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"{place} does not exist; it should be an image file or a folder of images.")
    if not found:
        raise UsageError(
            f"Found no image in {', '.join(map(str, places))}; files should end in .jpg, .png or as others that OpenCV "
            "reads."
        )
    return found


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as uint8 RGB (H, W, 3); a DataError if OpenCV cannot read it."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path} cannot be read as an image; it should be a complete file, such as a JPEG or PNG.")
    return np.ascontiguousarray(image[:, :, ::-1])


def centre_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The central square of an image (H, W, 3), resized to (size, size, 3)."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return _resized(image[top : top + side, left : left + side], size)


def random_crops(image: np.ndarray, size: int, number: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Random squares of 0.5 to 1 times the shorter side of an image (H, W, 3), resized to (size, size, 3)."""
    for _ in range(number):
        side = max(1, int(min(image.shape[:2]) * random.uniform(0.5, 1)))
        top, left = (int(random.integers(length - side, endpoint=True)) for length in image.shape[:2])
        yield _resized(image[top : top + side, left : left + side], size)


def _resized(square: np.ndarray, size: int) -> np.ndarray:
    import cv2

    interpolation = cv2.INTER_AREA if len(square) > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=interpolation)


def choose(files: Sequence[Path], number: int | None, seed: int) -> list[Path]:
    """At most ``number`` of the files, drawn at random, in the given order; all files if it is None."""
    if number is None or number >= len(files):
        return list(files)
    chosen = np.random.default_rng(seed).choice(len(files), number, replace=False)
    return [files[index] for index in sorted(chosen)]
