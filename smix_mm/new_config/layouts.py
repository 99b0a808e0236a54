"""Recognising how a folder of images is organised."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from ..utils.errors import DataError
from ..utils.text import first_few

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_TRAIN, _TEST = ("train", "training", "trainval"), ("val", "valid", "validation", "test", "testing")


@dataclass(frozen=True)
class Layout:
    """What was found in a folder of data.

    Attributes:
        kind: ``'classes'`` (a folder for each class), ``'voc'`` or ``'coco'``.
        classes: names, in the order of their labels.
        train: settings of the training set's dataset, without pipeline and classes.
        test: the same for the set that is evaluated.
        number: training images.
    """

    kind: str
    classes: tuple[str, ...]
    train: dict[str, Any]
    test: dict[str, Any]
    number: int


def find_layout(root: Path) -> Layout:
    """Recognise how a folder of data is organised; see :func:`new_config`."""
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the folder that holds the images.")
    if (root / "Annotations").is_dir():
        return _voc(root)
    coco = _coco(root)
    return coco if coco is not None else _class_folders(root)


def _class_folders(root: Path) -> Layout:
    train, test = (next((name for name in names if (root / name).is_dir()), None) for names in (_TRAIN, _TEST))
    if train is None or test is None:
        raise DataError(
            f"{root} should hold train/<class>/ and val/<class>/, or Annotations/ (VOC format), or JSON files (COCO "
            f"format), got {first_few(sorted(path.name for path in root.iterdir()), 6) or 'an empty folder'}."
        )
    classes, others = (
        tuple(sorted(path.name for path in (root / name).iterdir() if path.is_dir())) for name in (train, test)
    )
    number = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in (root / train).rglob("*"))
    if not classes or not number:
        raise DataError(f"{root / train} should hold a folder of images for each class, got {len(classes)} folders.")
    if classes != others:
        different = sorted(set(classes) ^ set(others))
        raise DataError(f"{train} and {test} should hold the same classes; only one has {first_few(different, 5)}.")
    first, second = (dict(type="CustomDataset", data_prefix=name) for name in (train, test))
    return Layout("classes", classes, first, second, number)


def _voc(root: Path) -> Layout:
    from defusedxml import ElementTree

    splits = root / "ImageSets" / "Main"
    # trainval with val would be tested on its own training images.
    pairs = [("train", "val"), ("train", "test"), ("trainval", "test")]
    found = next((pair for pair in pairs if all((splits / f"{name}.txt").is_file() for name in pair)), None)
    if found is None:
        raise DataError(f"{splits} should hold train.txt and val.txt (or test.txt), or trainval.txt and test.txt.")
    names = [line.strip() for line in (splits / f"{found[0]}.txt").read_text("utf-8-sig").splitlines() if line.strip()]
    counts: Counter[str] = Counter()
    for name in names:
        path = root / "Annotations" / f"{name}.xml"
        try:
            counts.update((each.findtext("name") or "").strip() for each in ElementTree.parse(path).iter("object"))
        except (OSError, ElementTree.ParseError, UnicodeError) as error:
            raise DataError(f"{path} should be an annotation in VOC format: {error}.") from error
    counts.pop("", None)
    if not counts:
        raise DataError(f"the annotations of {splits / f'{found[0]}.txt'} name no object.")
    train, test = (
        dict(type="VOCDataset", ann_file=f"ImageSets/Main/{name}.txt", data_prefix=dict(sub_data_root=""))
        for name in found
    )
    return Layout("voc", tuple(sorted(counts)), train, test, len(names))


def _coco(root: Path) -> Layout | None:
    found = {}
    for path, content in _annotation_files(root):
        words = f"{path.parent.name} {path.stem}".lower()
        for part, names in (("train", _TRAIN), ("test", _TEST)):
            if part not in found and any(name in words for name in names):
                found[part] = (path, content)
                break
    if not found:
        return None
    if len(found) < 2:
        (path, _) = next(iter(found.values()))
        raise DataError(f"{root} should hold a JSON file for training and one for val or test, got {path.name} alone.")
    categories = [content.get("categories") or [] for _, content in found.values()]
    classes, others = (
        tuple(str(each["name"]) for each in sorted(one, key=lambda each: each["id"])) for one in categories
    )
    if not classes or set(classes) != set(others):
        raise DataError(f"the JSON files of {root} should list the same categories, got {classes} and {others}.")
    train, test = (
        dict(
            type="CocoDataset",
            ann_file=path.relative_to(root).as_posix(),
            data_prefix=dict(img=_image_folder(root, path, content)),
        )
        for path, content in (found["train"], found["test"])
    )
    return Layout("coco", classes, train, test, len(found["train"][1]["images"]))


def _annotation_files(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted([*root.glob("*.json"), *root.glob("*/*.json")]):
        try:
            content = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
            yield path, content


def _image_folder(root: Path, path: Path, content: dict[str, Any]) -> str:
    """Folder of a JSON file's images, relative to ``root``, with a slash at its end."""
    images = content["images"]
    if not images:
        raise DataError(f"{path} lists no image.")
    name = images[0]["file_name"]
    parts = [path.stem.removeprefix("instances_"), *_TRAIN, *_TEST, "images", ""]
    candidates = [path.parent, *(root / part for part in parts), *(root / "images" / part for part in parts)]
    for folder in candidates:
        if (folder / name).is_file():
            relative = folder.relative_to(root).as_posix()
            return "" if relative == "." else f"{relative}/"
    raise DataError(f"{name}, the first image of {path}, is in none of the folders that COCO format uses below {root}.")
