"""Image files: which there are, what is in them, and crops of one size."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Iterator, Sequence

import numpy as np

ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
SKIMAGE = "skimage:"


def list_images(places: Sequence[str | Path]) -> list[Path]:
    """The image files that are named, and those in the folders that are named, at any depth.

    Args:
        places: files and folders; ``skimage:NAME`` is a photograph of scikit-image's wheel, such
            as ``skimage:astronaut.png``.

    Raises:
        ValueError: a place is neither, or there is no image.
    """
    found: list[Path] = []
    for place in places:
        path = _in_skimage(str(place)) if str(place).startswith(SKIMAGE) else Path(place)
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(f"{place} is not there; wanted an image file or a folder of them")
    if not found:
        given = ", ".join(map(str, places))
        raise ValueError(f"there is no image in {given}; wanted files ending in {', '.join(sorted(ENDINGS))}")
    return found


def _in_skimage(place: str) -> Path:
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{place} needs scikit-image; install it with: pip install scikit-image")
    return Path(spec.submodule_search_locations[0], "data", place[len(SKIMAGE) :])


def read_image(path: str | Path) -> np.ndarray:
    """uint8 RGB (H, W, 3) from a file.

    Raises:
        ValueError: OpenCV cannot read it.
    """
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image; wanted a whole file in a usual format, such as JPEG")
    return np.ascontiguousarray(image[:, :, ::-1])


def centre_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The middle (size, size, 3) of an image whose shorter side was resized to ``size``."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return _resized(image[top : top + side, left : left + side], size)


def random_crops(image: np.ndarray, size: int, number: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Squares of 0.5 to 1 of the shorter side, anywhere in an image, resized to (size, size, 3)."""
    for _ in range(number):
        side = max(1, int(min(image.shape[:2]) * random.uniform(0.5, 1)))
        top, left = (int(random.integers(length - side, endpoint=True)) for length in image.shape[:2])
        yield _resized(image[top : top + side, left : left + side], size)


def _resized(square: np.ndarray, size: int) -> np.ndarray:
    import cv2

    way = cv2.INTER_AREA if len(square) > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=way)


def choose(files: Sequence[Path], number: int | None, seed: int) -> list[Path]:
    """At most ``number`` of the files, drawn at random, in their order; all where it is None."""
    if number is None or number >= len(files):
        return list(files)
    chosen = np.random.default_rng(seed).choice(len(files), number, replace=False)
    return [files[index] for index in sorted(chosen)]
