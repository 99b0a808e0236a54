"""Detection data converted between VOC's, COCO's and YOLO's format."""

from __future__ import annotations

import os
from pathlib import Path

from ...utils.errors import DataError, UsageError
from ..folders import new_folder
from .read import BoxData, coco_files, read_coco_data, read_voc
from .write import write_coco, write_voc, write_yolo
from .yolo import read_yolo, yolo_settings

_READERS = {"voc": read_voc, "coco": read_coco_data, "yolo": read_yolo}
_WRITERS = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}
FORMATS = tuple(_READERS)


def convert_data(
    source: str | Path, out: str | Path, to: str, *, given: str | None = None, copy: bool = False
) -> BoxData:
    """Write detection data in another format into a new folder.

    Converted are boxes, classes, splits, and the mark of VOC's difficult objects, which is ``iscrowd`` in COCO format:
    MMDetection treats both alike. YOLO format has no such mark, and these objects are left out. A VOC box has its
    last pixel inside, so ``xmin, xmax`` are ``x + 1, x + w`` of COCO; MMDetection's ``VOCDataset`` reads it one pixel
    narrower. Boxes of VOC and back are the same in every format; to VOC, others are rounded by up to half a pixel;
    from YOLO to COCO, by 0.0001 pixels.

    Args:
        source: folder of the data. VOC format: ``Annotations``, ``JPEGImages``, ``ImageSets/Main``. COCO format: JSON
            files with train, val or test in their name or folder. YOLO format: see
            :func:`~smix_mm.datasets.convert.yolo.read_yolo`.
        out: the folder to create; it appears when it is complete.
        to: ``"voc"``, ``"coco"`` or ``"yolo"``.
        given: the format of ``source``. Defaults to None: recognised by its files.
        copy: copy the images instead of linking them.

    Returns:
        The data that were read, with notes on what the new format does not have.

    Raises:
        UsageError: ``to`` is none of these, or the format of ``source``.
        DataError: the format is not recognised, the data have an error, or ``out`` exists or is inside the source.
    """
    source, out = Path(source), Path(out).absolute()
    if to not in FORMATS or given not in (None, *FORMATS):
        raise UsageError(f"format should be one of {', '.join(FORMATS)}, got {to if to not in FORMATS else given}.")
    if not source.is_dir():
        raise DataError(f"{source} is no folder; give the folder that holds the data.")
    given = given or _recognise(source)
    if given == to:
        raise UsageError(f"{source} is in {given.upper()} format already; choose another format.")
    with new_folder(out, [source]) as work:
        data = _READERS[given](source)
        if not data.splits:
            raise DataError(f"{source} should hold JSON files with train, val or test in their name, got none.")
        for image in (image for images in data.splits.values() for image in images):
            if os.path.isabs(image.name) or os.path.normpath(image.name).startswith(".."):
                raise DataError(
                    f"{image.name} in {source} leads out of the folder of images; give a name inside of it."
                )
        _WRITERS[to](data, work, copy)
    return data


def _recognise(root: Path) -> str:
    if (root / "Annotations").is_dir():
        return "voc"
    if coco_files(root):
        return "coco"
    if yolo_settings(root) is not None:
        return "yolo"
    raise DataError(
        f"{root} should hold Annotations/ (VOC format), JSON files with train, val or test in their name (COCO "
        "format), or data.yaml (YOLO format)."
    )


__all__ = ["BoxData", "convert_data"]
