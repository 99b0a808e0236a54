"""Reading data in YOLO format: a text file for each image, a line ``class cx cy w h`` for each box.

The numbers are fractions of the image's width and height; the class is a number from 0.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator

from ...utils.errors import DataError
from ...utils.progress import in_parallel
from ...utils.text import first_few
from ..check.images import check_image, has_image_suffix
from ..check.text import EncodingError, read_lines
from .read import BoxData, BoxImage

# Boxes may leave the image by half a pixel, because the numbers are rounded.
_ROUNDING = 0.5


def read_yolo(root: Path) -> BoxData:
    """Read a YAML file, most often ``data.yaml``, with ``names``, and folders or text files of images as ``train`` etc.

    The label file of ``.../images/a.jpg`` is ``.../labels/a.txt``, else ``a.txt`` beside the image. An image without
    one has no object.

    Raises:
        DataError: names or images are not found, an image cannot be read, or a line is none of YOLO's.
    """
    found = yolo_settings(root)
    if found is None:
        raise DataError(f"{root} should have data.yaml with the names of the classes, and train, val or test.")
    file, content = found
    names: Any = content["names"]
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise DataError(f"names in {file} should be numbered from 0, got {first_few(list(names), 5)}.")
        names = [names[number] for number in range(len(names))]
    classes = tuple(map(str, names))
    given: dict[str, Any] = {part: content[part] for part in ("train", "val", "test") if content.get(part)}
    if not classes or not given or len(set(classes)) < len(classes):
        raise DataError(f"{file} should name different classes, and images for train, val or test.")
    bases = [root / str(content.get("path") or ""), root]
    data = BoxData(classes, {})
    errors: list[str] = []
    labelled = without = 0
    for part, entries in given.items():
        entries = entries if isinstance(entries, list) else [entries]
        tasks = [(path, name, classes) for entry in entries for path, name in _images(bases, str(entry))]
        if not tasks:
            raise DataError(f"the {part} set of {root} should have an image, got none.")
        data.splits[part] = []
        for image, wrong, has_labels in in_parallel(_read_image, tasks, label=part):
            data.splits[part].append(image)
            errors += wrong
            labelled += has_labels
            without += not has_labels
    if errors:
        raise DataError(f"{root} has {len(errors)} errors, correct them first: {first_few(errors, 3, '; ')}")
    if not labelled:
        raise DataError(f"{root} should have label files, labels/NAME.txt for images/NAME.jpg, got none.")
    if without:
        data.notes["images without a label file, which have no object"] = without
    return data


def _images(bases: list[Path], entry: str) -> Iterator[tuple[str, str]]:
    """Path and name of the images of a folder or a text file, which is relative to one of some folders."""
    # Some exports name "../train/images" from a folder beside the file's.
    ways = [base / one for base in bases for one in (entry, entry.removeprefix("../"))]
    place = next((way for way in ways if way.exists()), None)
    if place is None:
        raise DataError(f"{bases[-1] / entry} should be a folder of images or a text file with their paths.")
    if place.is_dir():
        for path in sorted(place.rglob("[!.]*")):
            if path.is_file() and has_image_suffix(str(path)):
                yield str(path), path.relative_to(place).as_posix()
        return
    for line in filter(None, read_lines(str(place))):
        path = next((base / line for base in (*bases, place.parent) if (base / line).exists()), bases[-1] / line)
        yield str(path), path.as_posix().rpartition("/images/")[2] if "/images/" in path.as_posix() else path.name


def _label_file(path: str) -> str | None:
    text = f"{os.path.splitext(path)[0]}.txt"
    before, found, name = text.rpartition("/images/")
    ways = [f"{before}/labels/{name}", text] if found else [text]
    return next((way for way in ways if os.path.exists(way)), None)


def _read_image(task: tuple[str, str, tuple[str, ...]]) -> tuple[BoxImage, list[str], bool]:
    """An image, what is wrong with it, and whether it has a label file."""
    path, name, classes = task
    info = check_image(path)
    image = BoxImage(name, path, info.size or (0, 0))
    errors = [f"{path} {problem.detail}" for problem in info.problems]
    file = _label_file(path)
    if file is None or errors:
        return image, errors, file is not None
    try:
        lines = read_lines(file)
    except (OSError, EncodingError) as error:
        return image, [f"{file} {error}"], True
    for number, line in enumerate(lines, 1):
        if line and (wrong := _add_box(image, line.split(), classes)):
            errors.append(f"{file}: line {number} {wrong}")
    return image, errors, True


def _add_box(image: BoxImage, fields: list[str], classes: tuple[str, ...]) -> str:
    """Add the box of a line; return what is wrong with the line."""
    if len(fields) != 5:
        return f"has {len(fields)} values, expected 5: class cx cy w h"
    try:
        label, (cx, cy, w, h) = int(fields[0]), map(float, fields[1:])
    except ValueError:
        return f"is {' '.join(fields)[:60]!r}, expected a whole number and 4 numbers"
    if not 0 <= label < len(classes):
        return f"has the class {label}, expected 0 to {len(classes) - 1}"
    width, height = image.size
    corners = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
    x1, y1, x2, y2 = inside = tuple(
        min(max(corner, 0.0), float(side)) for corner, side in zip(corners, (width, height, width, height))
    )
    # Written so that NaN is refused too.
    if not (w > 0 and h > 0 and all(abs(one - other) <= _ROUNDING for one, other in zip(corners, inside))):
        return f"has a box without area or outside the image: {' '.join(fields[1:])[:60]}"
    image.boxes.append((x1, y1, x2, y2))
    image.labels.append(classes[label])
    image.ignored.append(False)
    return ""


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
