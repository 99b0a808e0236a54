"""Files in COCO format: what is wrong with a file as a whole, and the annotations of its images, cleaned."""

from __future__ import annotations

import codecs
import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Collection, Iterator, Mapping

from ...utils.errors import DataError
from .text import ORDER_ADVICE, describe_categories, read_annotation, text_lines
from .voc import SIZE_CORRECTED, Annotation, clean_annotation, short

if TYPE_CHECKING:
    from .splits import Sample

# Official COCO boxes are rounded to hundredths, so that their end can be outside by this.
_ROUNDING = 0.5


class CocoFormatError(DataError):
    """A file is not JSON, or does not have COCO's layout; the message has no file name."""


@dataclass(eq=False)
class Record:
    """One image of a COCO file: its entries, and the names of all categories of the file by their id."""

    image: dict[str, Any]
    annotations: list[dict[str, Any]]
    categories: Mapping[Any, str]


@dataclass
class CocoFile:
    """The content of a COCO file, its categories, its images in order without those whose entries cannot be used, and
    kind and detail of what is wrong, except for what is wrong with single annotations.
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
    new = _new_ids(content["annotations"])
    result = []
    for one in kept:
        if not is_id(one.get("id")) or one["id"] in used:
            one = {**one, "id": next(new)}
        used.add(one["id"])
        result.append(one)
    return result


def _new_ids(entries: list[dict[str, Any]]) -> Iterator[int]:
    return itertools.count(max((one["id"] for one in entries if isinstance(one.get("id"), int)), default=0) + 1)


def in_order(content: Mapping[str, Any], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The categories with the config's classes first, in their order; those that the file lacks get new ids."""
    given = {one["name"]: one for one in content["categories"]}
    new = _new_ids(content["categories"])
    first = [given.get(name) or dict(id=next(new), name=name) for name in classes]
    return first + [one for one in given.values() if one["name"] not in classes]


def read_objects(
    sample: Sample,
    classes: Collection[str] | None,
    *,
    size: tuple[int, int] | None = None,
    rotated: bool = False,
    ignore: Collection[str] = (),
) -> Annotation:
    """The cleaned annotation of a sample in VOC's or COCO's format; for the arguments see :func:`clean_annotation`.

    The entries of a COCO file, read as MMDetection's ``CocoDataset`` reads them, are not changed; ``root`` of the
    result has copies of those that are.
    """
    file = str(sample.annotation)
    if sample.record is None:
        content = read_annotation(file)
        return clean_annotation(content, classes, file=file, size=size, rotated=rotated, ignore=ignore)
    image = sample.record.image
    annotation = Annotation(file, classes, ignore, name=image["file_name"], parsed=True, root=[])
    annotation.check_size({side: _text(image.get(side)) for side in ("width", "height")}, size, rotated)
    for entry in sample.record.annotations:
        changed = dict(entry)
        if _check_entry(annotation, changed, sample.record.categories):
            annotation.root.append(entry if changed == entry else changed)
    if not annotation.boxes:
        annotation.add("no-boxes", "has no usable box")
    return annotation


def corrected_image(record: Record, annotation: Annotation) -> dict[str, Any]:
    """The image's entry, with the size corrected if the cleaned annotation has it so."""
    if any(problem.fixed == SIZE_CORRECTED for problem in annotation.problems) and annotation.size is not None:
        return {**record.image, "width": annotation.size[0], "height": annotation.size[1]}
    return record.image


def _text(side: Any) -> str:
    """A width or height as text, as VOC has it; a JSON string is no number."""
    if isinstance(side, float) and side.is_integer():
        side = int(side)
    return "" if side is None else repr(side)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_entry(annotation: Annotation, entry: dict[str, Any], categories: Mapping[Any, str]) -> bool:
    """Check an entry in the order in which MMDetection reads it, clip its box and add its area; whether it stays."""
    which, key = f"annotation {entry.get('id')}", entry.get("category_id")
    if not is_id(key):
        return annotation.drop("missing-field", f"{which} should have a category_id, got {key!r}")
    if entry.get("ignore"):  # MMDetection skips it
        return True
    if entry.get("bbox") is None:
        return annotation.drop("missing-field", f"{which} has no bbox")
    if key not in categories:
        return annotation.drop("unknown-class", f"{which} has the category_id {key!r}, which the file does not list")
    if (ignored := annotation.drop_unknown(which, categories[key])) is not None:
        return ignored
    which, bbox = f"{which} ({short(categories[key])})", entry["bbox"]
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        return annotation.drop("not-a-number", f"{which}: bbox is {str(bbox)[:60]}, expected 4 numbers")
    if entry.get("iscrowd", 0) not in (0, 1):
        annotation.add("not-a-number", f"{which}: iscrowd is {entry['iscrowd']!r}", "field removed")
        del entry["iscrowd"]
    shown = f"{which}: {','.join(f'{value:g}' for value in bbox)}"
    if bbox[2] < 1 or bbox[3] < 1:
        return annotation.drop("box-without-area", shown)
    box = (bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3])
    clipped = annotation.clip(box, shown, 0, _ROUNDING)
    if clipped is None:
        return False
    area: Any = entry.get("area")
    if clipped != box:
        x1, y1, x2, y2 = clipped
        entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        if _is_number(area):
            area = entry["area"] = min(area, (x2 - x1) * (y2 - y1))
    # Without a positive area MMDetection leaves out the object.
    kept = False
    if area is None:
        annotation.add("missing-field", f"{which} has no area", "area computed")
    elif not _is_number(area):
        annotation.add("not-a-number", f"{which}: area is {area!r}", "area computed")
    else:
        kept = area > 0 or annotation.drop("box-without-area", f"{which}: area is {area:g}", "area computed")
    if not kept:
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    return annotation.keep(clipped, categories[key], bool(entry.get("iscrowd")))
