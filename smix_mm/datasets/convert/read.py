"""Reading detection data in VOC's and COCO's format, refused where it has an error."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Mapping

from ...utils.errors import DataError
from ...utils.progress import in_parallel
from ..check.coco import category_names
from ..check.findings import ERRORS, Problem, summarize
from ..check.images import check_image
from ..check.listing import list_samples
from ..check.objects import read_objects
from ..check.splits import Sample, Split
from .boxes import BoxData, BoxImage
from .find import coco_files, image_folder

_FIX = (
    "write a config with tools/new_config.py, then a copy without the errors with tools/check_data.py CONFIG --fix OUT"
)


class _AnyClass(frozenset):
    """The classes of VOC data, which no file lists."""

    def __contains__(self, name: object) -> bool:
        return True


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
    files = {name: str(lists / f"{name}.txt") for name in names}
    found = {
        name: Split((name,), "voc", str(root), file, str(root / "JPEGImages"), str(root / "Annotations"))
        for name, file in files.items()
    }
    data = _read(root, found)
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
    data, problems = BoxData((), {}), list[tuple[str, Problem]]()
    for name, split in splits.items():
        listing = list_samples(split)
        problems += [(one.file, Problem(one.kind, one.detail)) for one in listing.findings]
        results = list(in_parallel(partial(_read_sample, split.classes), listing.samples, label=name))
        problems += [problem for _, found in results for problem in found]
        data.splits[name] = [image for image, _ in results]
    wrong = [(file, one) for file, one in problems if one.kind in ERRORS]
    if wrong:
        file, first = wrong[0]
        raise DataError(f"{root} has errors: {summarize(wrong)}; the first: {file} {first.detail}; {_FIX}")
    labels = {label for images in data.splits.values() for image in images for label in image.labels}
    data.classes = tuple(sorted(labels))
    return data


def _read_sample(classes: tuple[str, ...] | None, sample: Sample) -> tuple[BoxImage, list[tuple[str, Problem]]]:
    image = check_image(sample.image)
    known = _AnyClass() if classes is None else classes
    found = read_objects(sample, known, size=image.size, rotated=image.rotated)
    problems = [(sample.image, problem) for problem in image.problems]
    problems += [(str(sample.annotation), problem) for problem in found.problems]
    size = image.size or (0, 0)
    return BoxImage(sample.name, sample.image, size, found.boxes, found.labels, found.difficult), problems
