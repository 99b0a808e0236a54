"""Categories of COCO files: in the order of the config's classes."""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping

from ..datasets.check.coco import read_coco
from ..datasets.check.splits import find_splits
from ..datasets.check.text import ORDER_ADVICE, describe_categories
from ..utils.errors import DataError
from .findings import Finding, contradiction


def check_categories(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the categories of each COCO file that a config reads with its classes."""
    try:
        splits = find_splits(cfg, strict=False)
    except DataError:  # the comparison of class names reports it
        return
    for split in splits:
        if split.style != "coco" or not os.path.isfile(split.ann_file):
            continue
        try:
            names = read_coco(split.ann_file).names
        except (DataError, OSError):  # a training stops at it, and check_data lists it
            continue
        if why := describe_categories(names, split.classes or ()):
            yield contradiction(
                f"{split.parts[0]}_dataloader.dataset.metainfo.classes", f"{split.ann_file} {why}", ORDER_ADVICE
            )
