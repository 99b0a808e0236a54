"""Writing detection data in VOC's, COCO's and YOLO's format."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ...utils.errors import DataError
from .read import BoxData, BoxImage

_SMALL = "boxes left out: narrower or lower than {}"


def place_image(image: BoxImage, target: Path, copy: bool) -> None:
    """Link or copy an image to where it does not exist yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(target):
        shutil.copyfile(image.path, target) if copy else target.symlink_to(os.path.realpath(image.path))


def _with_ids(data: BoxData) -> dict[str, list[tuple[str, BoxImage]]]:
    """The images with their names without extension, with the split before it if a name is used for two images."""
    used: dict[str, str] = {}
    named = {part: [(os.path.splitext(one.name)[0], one) for one in images] for part, images in data.splits.items()}
    pairs = [pair for each in named.values() for pair in each]
    if any(used.setdefault(name, one.path) != one.path for name, one in pairs):
        named = {part: [(f"{part}/{name}", one) for name, one in each] for part, each in named.items()}
    for each in named.values():
        paths: dict[str, str] = {}
        for name, one in each:
            if paths.setdefault(name, one.path) != one.path:
                raise DataError(f"{paths[name]} and {one.path} should have different names without their extension.")
    return named


def write_voc(data: BoxData, folder: Path, copy: bool) -> None:
    """Write ``JPEGImages``, ``Annotations`` and ``ImageSets/Main``; corners are rounded to whole pixels."""
    (folder / "ImageSets/Main").mkdir(parents=True)
    for part, named in _with_ids(data).items():
        (folder / f"ImageSets/Main/{part}.txt").write_text("".join(f"{name}\n" for name, _ in named), "utf-8")
        for name, image in named:
            # MMDetection adds .jpg to the name, and decoders go by the content.
            if not image.path.lower().endswith((".jpg", ".jpeg")):
                data.notes["images of another format than JPEG under a name with .jpg, as MMDetection expects"] += 1
            place_image(image, folder / f"JPEGImages/{name}.jpg", copy)
            target = folder / f"Annotations/{name}.xml"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_voc_annotation(data, image, name))


def _voc_annotation(data: BoxData, image: BoxImage, name: str) -> bytes:
    root = Element("annotation")
    SubElement(root, "filename").text = f"{name}.jpg"
    size = SubElement(root, "size")
    for side, value in zip(("width", "height", "depth"), (*image.size, 3)):
        SubElement(size, side).text = str(value)
    for box, label, ignored in zip(image.boxes, image.labels, image.ignored):
        x1, y1, x2, y2 = (int(corner + 0.5) for corner in box)
        if x2 - x1 < 2 or y2 - y1 < 2:  # MMDetection reads xmax - xmin as the width
            data.notes[_SMALL.format("two pixels")] += 1
            continue
        entry = SubElement(root, "object")
        SubElement(entry, "name").text = label
        SubElement(entry, "difficult").text = str(int(ignored))
        corners = SubElement(entry, "bndbox")
        for corner, value in zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2)):
            SubElement(corners, corner).text = str(value)
    indent(root)
    return tostring(root, encoding="utf-8") + b"\n"


def write_coco(data: BoxData, folder: Path, copy: bool) -> None:
    """Write ``annotations/instances_SPLIT.json`` and ``images/SPLIT/``; a difficult object gets ``iscrowd`` 1."""
    categories = [dict(id=number, name=name) for number, name in enumerate(data.classes, 1)]
    (folder / "annotations").mkdir(parents=True)
    for part, images in data.splits.items():
        entries, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
        for number, image in enumerate(images, 1):
            place_image(image, folder / f"images/{part}/{image.name}", copy)
            entries.append(dict(id=number, file_name=image.name, width=image.size[0], height=image.size[1]))
            for (x1, y1, x2, y2), label, ignored in zip(image.boxes, image.labels, image.ignored):
                x, y, w, h = map(_number, (x1, y1, x2 - x1, y2 - y1))
                if w < 1 or h < 1:  # MMDetection leaves these out
                    data.notes[_SMALL.format("a pixel")] += 1
                    continue
                box = dict(image_id=number, category_id=data.classes.index(label) + 1, bbox=[x, y, w, h])
                annotations.append(dict(box, id=len(annotations) + 1, area=_number(w * h), iscrowd=int(ignored)))
        content = dict(images=entries, annotations=annotations, categories=categories)
        (folder / f"annotations/instances_{part}.json").write_text(json.dumps(content) + "\n", "utf-8")


def _number(value: float) -> float:
    """A value rounded to a ten thousandth of a pixel, a whole one as an integer."""
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded


def write_yolo(data: BoxData, folder: Path, copy: bool) -> None:
    """Write ``images/SPLIT/``, ``labels/SPLIT/`` and ``data.yaml``; difficult objects and crowds are left out."""
    named = _with_ids(data)
    for part, images in named.items():
        for name, image in images:
            target = folder / f"labels/{part}/{name}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            place_image(image, folder / f"images/{part}/{name}{os.path.splitext(image.path)[1]}", copy)
            width, height = image.size
            lines = []
            for (x1, y1, x2, y2), label, ignored in zip(image.boxes, image.labels, image.ignored):
                if ignored:
                    data.notes["difficult objects or crowds left out: YOLO format has no mark for them"] += 1
                    continue
                box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                lines.append(" ".join([str(data.classes.index(label)), *(f"{value:.10g}" for value in box)]))
            target.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    # JSON's strings are YAML's too.
    parts = [f"{'train' if part == 'trainval' else part}: images/{part}" for part in named]
    names = [f"  {number}: {json.dumps(name)}" for number, name in enumerate(data.classes)]
    (folder / "data.yaml").write_text("\n".join([*parts, "names:", *names]) + "\n", "utf-8")
