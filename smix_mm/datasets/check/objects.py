"""The objects of one sample, in VOC's or COCO's format, checked and cleaned."""

from __future__ import annotations

import math
from typing import Any, Collection, Mapping

from .coco import Record, is_id
from .findings import Problem
from .splits import Sample
from .voc import SIZE_CORRECTED, Annotation, Objects, check_size, clean_annotation, read_annotation, short

# Official COCO boxes are rounded to hundredths, so that their end can be outside by this.
_ROUNDING = 0.5


def read_objects(
    sample: Sample,
    classes: Collection[str],
    *,
    size: tuple[int, int] | None = None,
    rotated: bool = False,
    ignore: Collection[str] = (),
) -> Annotation:
    """The cleaned annotation of a sample; for the arguments see :func:`~.voc.clean_annotation`."""
    if sample.record is not None:
        return clean_record(sample.record, classes, size=size, rotated=rotated, ignore=ignore)
    assert sample.annotation is not None
    content = read_annotation(sample.annotation)
    if isinstance(content, Problem):
        return Annotation([content])
    return clean_annotation(content, classes, size=size, rotated=rotated, ignore=ignore)


def clean_record(
    record: Record,
    classes: Collection[str],
    *,
    size: tuple[int, int] | None = None,
    rotated: bool = False,
    ignore: Collection[str] = (),
) -> Annotation:
    """Check an image's annotations in a COCO file, as MMDetection's ``CocoDataset`` reads them, and fix what can be.

    The file's entries are not changed; ``root`` of the result has copies of those that are.
    """
    image = record.image
    annotation = Annotation(root=[], name=image["file_name"])
    stated = {side: _text(image.get(side)) for side in ("width", "height")}
    if all(text.isdecimal() and int(text) > 0 for text in stated.values()):
        annotation.size = (int(stated["width"]), int(stated["height"]))
    check_size(annotation, stated, size, rotated, "size-differs" in ignore)
    annotation.size = size or annotation.size
    objects = _Entries(annotation, classes, ignore)
    for entry in record.annotations:
        changed = dict(entry)
        if objects.check(changed, record.categories):
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


class _Entries(Objects):
    """Checks annotations in the order in which MMDetection reads them, and changes them."""

    def check(self, entry: dict[str, Any], categories: Mapping[Any, str]) -> bool:
        """Check an annotation and clip its box; return whether it stays."""
        which, key = f"annotation {entry.get('id')}", entry.get("category_id")
        if not is_id(key):
            return self.add("missing-field", f"{which} should have a category_id, got {key!r}")
        if entry.get("ignore"):  # MMDetection skips it
            return True
        if entry.get("bbox") is None:
            return self.add("missing-field", f"{which} has no bbox")
        if key not in categories:
            return self.add("unknown-class", f"{which} has the category_id {key!r}, which the file does not list")
        category = categories[key]
        if category not in self.classes:
            return self.add_unknown(category, which)
        which, box = f"{which} ({short(category)})", entry["bbox"]
        if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(map(_is_number, box)):
            return self.add("not-a-number", f"{which}: bbox is {str(box)[:60]}, expected 4 numbers")
        if entry.get("iscrowd", 0) not in (0, 1):
            self.add("not-a-number", f"{which}: iscrowd is {entry['iscrowd']!r}", "field removed")
            del entry["iscrowd"]
        shown = ",".join(f"{value:g}" for value in box)
        if box[2] < 1 or box[3] < 1:
            return self.add("box-without-area", f"{which}: {shown}")
        x1, y1, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
        width, height = self.annotation.size or (x2, y2)
        inside = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
        if any(abs(one - other) > _ROUNDING for one, other in zip(inside, (x1, y1, x2, y2))):
            gone = inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1
            detail = f"{which}: {shown} in {width}x{height}"
            if not self.add("box-outside", detail, "object dropped" if gone else "box clipped"):
                if gone:
                    return False
                x1, y1, x2, y2 = inside
                entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
                if _is_number(area := entry.get("area")):
                    entry["area"] = min(area, (x2 - x1) * (y2 - y1))
        return self._check_area(entry, which) and self.keep((x1, y1, x2, y2), category, bool(entry.get("iscrowd")))

    def _check_area(self, entry: dict[str, Any], which: str) -> bool:
        """Check the area, without which MMDetection leaves out the object; return whether it is positive."""
        area, computed = entry.get("area"), entry["bbox"][2] * entry["bbox"][3]
        if area is None:
            self.add("missing-field", f"{which} has no area", "area computed")
        elif not _is_number(area):
            self.add("not-a-number", f"{which}: area is {area!r}", "area computed")
        elif area > 0 or self.add("box-without-area", f"{which}: area is {area:g}", "area computed"):
            return True
        entry["area"] = computed
        return True
