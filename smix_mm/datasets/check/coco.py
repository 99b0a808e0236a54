"""Files in COCO format: what is wrong with a file as a whole, and its images with their annotations."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

from ...utils.errors import DataError
from .text import ORDER_ADVICE, describe_categories, text_lines


class CocoFormatError(DataError):
    """A file is not JSON, or does not have COCO's layout; the message has no file name."""


@dataclass(eq=False)
class Record:
    """One image of a COCO file.

    Attributes:
        image: its entry in ``images``.
        annotations: its entries in ``annotations``.
        categories: the names of all categories of the file by their id.
    """

    image: dict[str, Any]
    annotations: list[dict[str, Any]]
    categories: Mapping[Any, str]


@dataclass
class CocoFile:
    """A COCO file.

    Attributes:
        content: the JSON object.
        records: its images in order, without those whose entries cannot be used.
        names: its categories in order.
        problems: kind and detail of what is wrong, except for what is wrong with single annotations.
    """

    content: dict[str, Any]
    names: list[str]
    records: list[Record] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def read_coco(path: str | Path, classes: tuple[str, ...] | None = None) -> CocoFile:
    """Read a COCO file; ``classes`` are those of the config, None to accept any.

    Raises:
        CocoFormatError: it is not JSON, or has another layout.
        EncodingError: it is no text in UTF-8.
        OSError: it cannot be read.
    """
    raw = Path(path).read_bytes()
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        text_lines(raw)  # raises an EncodingError if that is the reason
        raise CocoFormatError(f"is not JSON: {error}") from None
    names = category_names(content)
    file = CocoFile(content, list(names.values()))
    if raw.startswith(codecs.BOM_UTF8):
        file.problems.append(("byte-order-mark", "begins with a byte order mark"))
    if classes is not None and (why := describe_categories(file.names, classes)):
        file.problems.append(("category-order", f"{why}; {ORDER_ADVICE}"))
    by_id: dict[Any, list[Record]] = {}
    for number, image in enumerate(content["images"]):
        if isinstance(image.get("file_name"), str) and image["file_name"] and is_id(image.get("id")):
            by_id.setdefault(image["id"], []).append(Record(image, [], names))
        else:
            file.problems.append(("missing-field", f"images[{number}] has no file_name or no id"))
    file.problems += _put_together(content, by_id)
    file.records = [records[0] for records in by_id.values() if len(records) == 1]
    return file


def category_names(content: Any) -> dict[Any, str]:
    """The names of the categories of a COCO file by their id, in order, after a check of the file's layout."""
    if not isinstance(content, dict):
        raise CocoFormatError(f"should be an object with images, annotations and categories, got {_kind(content)}")
    content.setdefault("annotations", [])  # of a test set whose annotations are not published
    for name in ("images", "annotations", "categories"):
        entries = content.get(name)
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise CocoFormatError(f"should have a list of objects {name!r}, got {_kind(entries)}")
    names: dict[Any, str] = {}
    for one in content["categories"]:
        if not is_id(one.get("id")) or not isinstance(one.get("name"), str):
            raise CocoFormatError(f"has a category without id or name: {str(one)[:60]}")
        if one["id"] in names or one["name"] in names.values():
            raise CocoFormatError(f"has two categories with the id or the name of {str(one)[:60]}")
        names[one["id"]] = one["name"]
    return names


def _put_together(content: Mapping[str, Any], by_id: Mapping[Any, list[Record]]) -> Iterator[tuple[str, str]]:
    """Give the annotations to their images; yield kind and detail of what does not fit."""
    for key, records in by_id.items():
        if len(records) > 1:
            files = " and ".join(record.image["file_name"] for record in records[:2])
            yield "duplicate-id", f"{len(records)} images have the id {key}: {files}"
    seen = set()
    for number, one in enumerate(content["annotations"]):
        image, key = one.get("image_id"), one.get("id")
        which = f"annotation {key}" if is_id(key) else f"annotations[{number}]"
        records = by_id.get(image, []) if is_id(image) else []
        if not records:
            yield "unlisted-image", f"{which} has the image_id {image!r}, which no image has"
            continue
        records[0].annotations.append(one)
        if not is_id(key):
            yield "missing-field", f"{which} has no id"
        elif key in seen:
            yield "duplicate-id", f"{which}: its id is used before"
        seen.add(key if is_id(key) else None)


def is_id(value: Any) -> bool:
    """Whether a value can be an id: a whole number or a text."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def with_used_ids(content: Mapping[str, Any], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Annotations with an id each: those without one, and those whose id is used before, get a new one."""
    used: set[Any] = set()
    highest = max((one["id"] for one in content["annotations"] if isinstance(one.get("id"), int)), default=0)
    result = []
    for one in kept:
        if not is_id(one.get("id")) or one["id"] in used:
            highest += 1
            one = {**one, "id": highest}
        used.add(one["id"])
        result.append(one)
    return result


def in_order(content: Mapping[str, Any], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The categories with the config's classes first, in their order; those that the file lacks get new ids."""
    given = {one["name"]: one for one in content["categories"]}
    highest = max((one["id"] for one in given.values() if isinstance(one["id"], int)), default=0)
    lacking = [name for name in classes if name not in given]
    new = {name: dict(id=highest + number, name=name) for number, name in enumerate(lacking, 1)}
    first = [given.get(name) or new[name] for name in classes]
    return first + [one for one in given.values() if one["name"] not in classes]
