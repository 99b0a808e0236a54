"""Detection data of any format in memory; read from VOC's and COCO's format, and refused where they have an error."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Mapping

from ...utils.errors import DataError
from ...utils.progress import in_parallel
from ..check.checker import check_listings
from ..check.coco import CocoFormatError, category_names
from ..check.findings import ERRORS, summarize
from ..check.listing import list_samples
from ..check.splits import Split

_FIX = (
    "write a config with tools/new_config.py, then a copy without the errors with tools/check_data.py CONFIG --fix OUT"
)


@dataclass
class BoxImage:
    """One image with its boxes.

    Attributes:
        name: its path inside the folder of its split, with its extension.
        path: where it is.
        size: (width, height) in pixels.
        boxes: ``(x1, y1, x2, y2)`` in pixels from 0, half-open: the last pixel of a box is ``x2 - 1``.
        labels: the class name of each box.
        ignored: whether each box is difficult (VOC) or a crowd (COCO).
    """

    name: str
    path: str
    size: tuple[int, int]
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)


@dataclass
class BoxData:
    """Detection data in any format: class names in the order of the labels, images by split (``"train"``, ``"val"``
    ...), and what a conversion changes, with its number.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[BoxImage]]
    notes: Counter[str] = field(default_factory=Counter)


def read_voc(root: Path) -> BoxData:
    """Read ``ImageSets/Main/{train,val,test}.txt``, or ``trainval.txt`` if there is no ``train.txt``.

    Raises:
        DataError: there is none of these, or the data have an error.
    """
    lists = root / "ImageSets" / "Main"
    names = [name for name in ("train", "trainval", "val", "test") if (lists / f"{name}.txt").is_file()]
    if "train" in names and "trainval" in names:
        names.remove("trainval")
    if not names:
        raise DataError(f"{lists} should hold train.txt, val.txt, test.txt or trainval.txt, got none of them.")
    folders = str(root / "JPEGImages"), str(root / "Annotations")
    data = _read(root, {name: Split((name,), "voc", str(root), str(lists / f"{name}.txt"), *folders) for name in names})
    for images in data.splits.values():
        for image in images:  # corners from 1, the last pixel included
            image.name += Path(image.path).suffix
            image.boxes = [(x1 - 1, y1 - 1, x2, y2) for x1, y1, x2, y2 in image.boxes]
    return data


def read_coco_data(root: Path) -> BoxData:
    """Read the COCO files that have train, val or test in their name or folder.

    Raises:
        DataError: the folder of the images is not found, or the data have an error.
    """
    found: dict[str, Split] = {}
    masks = 0
    for part, (path, content) in coco_files(root).items():
        name = "trainval" if "trainval" in path.stem.lower() else part
        folder, classes = str(root / image_folder(root, path, content)), tuple(category_names(content).values())
        found[name] = Split((name,), "coco", str(root), str(path), folder, classes=classes)
        masks += sum(bool(one.get("segmentation")) for one in content["annotations"])
    data = _read(root, found)
    data.classes = tuple(dict.fromkeys(name for split in found.values() for name in split.classes or ()))
    for images in data.splits.values():
        for image in images:  # official boxes may leave the image by a rounding
            width, height = image.size
            image.boxes = [(max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)) for x1, y1, x2, y2 in image.boxes]
    if masks:
        data.notes["segmentations left out: only boxes are converted"] = masks
    return data


def _read(root: Path, splits: Mapping[str, Split]) -> BoxData:
    checked = check_listings([list_samples(split) for split in splits.values()], partial(in_parallel, label="images"))
    if wrong := [one for one in checked.report.findings if one.kind in ERRORS]:
        first = f"{wrong[0].file} {wrong[0].detail}"
        raise DataError(f"{root} has errors: {summarize(wrong)}; the first: {first}; {_FIX}")
    data = BoxData((), {name: [] for name in splits})
    for name, listing in zip(splits, checked.listings):
        for sample in listing.samples:
            image, found = checked.samples[listing.split, sample]
            assert image.size is not None and found is not None
            boxes = (found.boxes, found.labels, found.difficult)
            data.splits[name].append(BoxImage(sample.name, sample.image, image.size, *boxes))
    data.classes = tuple(sorted({label for images in data.splits.values() for one in images for label in one.labels}))
    return data


def coco_files(root: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Path and content of the COCO files for ``train``, ``val`` and ``test``, by their name or folder."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    # "trainval" holds the images of "train" and "val" too.
    for path, content in sorted(_annotation_files(root), key=lambda pair: "trainval" in pair[0].name.lower()):
        words = path.relative_to(root).as_posix().lower()
        if part := next((part for part in ("train", "val", "test") if part in words), None):
            found.setdefault(part, (path, content))
    return found


def _annotation_files(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted([*root.glob("*.json"), *root.glob("*/*.json")]):
        try:
            content = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
            try:
                category_names(content)
            except CocoFormatError as error:
                raise DataError(f"{path} {error}") from None
            yield path, content


def image_folder(root: Path, path: Path, content: dict[str, Any]) -> str:
    """Folder of a COCO file's images, relative to ``root``, with a slash at its end.

    Raises:
        DataError: the first image is in none of the folders that are usual.
    """
    images = content["images"]
    if not images:
        raise DataError(f"{path} lists no image.")
    name = str(images[0].get("file_name"))
    usual = ("train", "training", "trainval", "val", "valid", "validation", "test", "testing", "images", "")
    parts = [path.stem.removeprefix("instances_"), *usual]
    candidates = [path.parent, *(root / part for part in parts), *(root / "images" / part for part in parts)]
    for folder in candidates:
        if (folder / name).is_file():
            relative = folder.relative_to(root).as_posix()
            return "" if relative == "." else f"{relative}/"
    raise DataError(f"{name}, the first image of {path}, is in none of the folders that COCO format uses below {root}.")
