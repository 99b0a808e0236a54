"""Finding the files of detection data in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

from ...utils.errors import DataError
from ..check.coco import CocoFormatError, category_names


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


def yolo_settings(root: Path) -> tuple[Path, dict[str, Any]] | None:
    """The YAML file with the names of the classes of a data set in YOLO format, and its content."""
    import yaml

    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda path: (path.stem != "data", path)):
        try:
            content = yaml.safe_load(path.read_text("utf-8-sig"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(content, dict) and isinstance(content.get("names"), (list, dict)):
            return path, content
    return None


def is_yolo(root: Path) -> bool:
    """Whether a folder has the names of classes as data in YOLO format has them, and no folder for each class."""
    folders = {path.name for path in root.glob("train*/*") if path.is_dir()}
    return yolo_settings(root) is not None or ((root / "classes.txt").is_file() and folders <= {"images", "labels"})
