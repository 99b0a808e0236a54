"""OpenMMLab's own readers of lists and annotations, corrected where they fail or silently leave something out.

:func:`correct_readers` replaces functions in place, for the whole process, so that datasets derived from OpenMMLab's
are corrected too. Good data is read as before.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any, Sequence
from xml.etree import ElementTree

from mmengine import fileio
from mmengine.dataset import BaseDataset
from mmengine.fileio import parse
from mmengine.logging import MMLogger

from ...utils.errors import DataError
from ...utils.import_hooks import when_imported
from .findings import Finding
from .images import check_image
from .listing import list_samples
from .splits import Split
from .text import ORDER_ADVICE, EncodingError, describe_categories, text_lines
from .voc import is_doubtful, size_texts, stated_size

_done: list[bool] = []


def correct_readers() -> None:
    """Correct the readers of mmengine, and those of MMDetection and mmpretrain as soon as they are imported."""
    if not _done:
        _done.append(True)
        parse.get_text = _get_text
        BaseDataset._serialize_data = _serialize(BaseDataset._serialize_data)
        when_imported("mmdet.datasets.xml_style", _correct_xml)
        when_imported("mmdet.datasets.coco", _correct_coco)
        when_imported("mmpretrain.datasets.custom", _correct_folders)


def _get_text(path: Any, encoding: str = "utf-8", backend_args: dict | None = None) -> str:
    """mmengine's ``get_text`` as ``list_from_file`` uses it; lines are those of :func:`~.text.text_lines`."""
    try:
        return "\n".join(text_lines(fileio.get(path, backend_args=backend_args)))
    except EncodingError as error:
        raise DataError(f"{path} {error}") from None


def _serialize(original: Any) -> Any:
    def serialize_data(self: Any) -> Any:
        if not self.data_list:
            filtered = {name: value for name, value in (self.filter_cfg or {}).items() if value}
            why = f"filter_cfg={filtered} or indices leave nothing of it" if filtered else "it names no sample"
            raise DataError(f"nothing is left of {self.ann_file or self.data_prefix or self.data_root}: {why}")
        return original(self)

    return serialize_data


def _correct_xml(module: ModuleType) -> None:
    """Sizes that are no sizes, or by which an image would be left out, are those of the image."""
    dataset, original = module.XMLDataset, module.XMLDataset.parse_data_info

    def parse_data_info(self: Any, img_info: dict) -> Any:
        if self.backend_args:
            return original(self, img_info)
        tree = ElementTree.parse(img_info["xml_path"])
        instances = self._parse_instance_info(tree, minus_one=True)
        path = os.path.join(self.sub_data_root, img_info["file_name"])
        size = _true_size(self, path, stated_size(size_texts(tree.getroot())), [one["bbox"] for one in instances])
        named = dict(img_path=path, img_id=img_info["img_id"], xml_path=img_info["xml_path"])
        return dict(named, height=size[1], width=size[0], instances=instances)

    dataset.parse_data_info = parse_data_info


def _correct_coco(module: ModuleType) -> None:
    """As for XML; and categories by which labels would get the names of other classes are refused."""
    dataset, original = module.CocoDataset, module.CocoDataset.parse_data_info

    def parse_data_info(self: Any, raw_data_info: dict) -> Any:
        if not getattr(self, "_categories_checked", False) and type(self).load_data_list is dataset.load_data_list:
            names = [one["name"] for one in self.coco.cats.values()]
            if why := describe_categories(names, self.metainfo["classes"]):
                raise DataError(f"{self.ann_file} {why}; {ORDER_ADVICE}")
            self._categories_checked = True
        if self.backend_args:
            return original(self, raw_data_info)
        info, boxes = raw_data_info["raw_img_info"], raw_data_info["raw_ann_info"]
        stated = (info.get("width"), info.get("height"))
        positive = all(isinstance(side, (int, float)) and side > 0 for side in stated)
        read = [one["bbox"] for one in boxes if "bbox" in one and not one.get("ignore")]
        corners = [(x, y, x + w, y + h) for x, y, w, h in read]
        path = os.path.join(self.data_prefix.get("img", ""), info["file_name"])
        size = _true_size(self, path, stated if positive else None, corners)
        return original(self, dict(raw_data_info, raw_img_info=dict(info, width=size[0], height=size[1])))

    dataset.parse_data_info = parse_data_info


def _correct_folders(module: ModuleType) -> None:
    """Image files of extensions that are not read are named, as are folders without any image."""
    dataset = module.CustomDataset
    is_valid, original = dataset.is_valid_file, dataset._find_samples

    def is_valid_file(self: Any, name: str) -> bool:
        valid = is_valid(self, name)
        self._skips = getattr(self, "_skips", False) or not valid
        return valid

    def findings(self: Any, kind: str) -> list[Finding]:
        options = dict(with_label=self.with_label, extensions=tuple(self.extensions))
        split = Split(("train",), "folders", self.data_root, "", self.img_prefix, **options)
        return [one for one in list_samples(split).findings if one.kind == kind]

    def find_samples(self: Any) -> Any:
        try:
            samples = original(self)
        except (RuntimeError, AssertionError) as error:
            why = "; ".join(one.detail for one in findings(self, "empty-split")) or error
            raise DataError(f"nothing can be read from {self.img_prefix}: {why}") from None
        for one in findings(self, "unread-image")[:3] if getattr(self, "_skips", False) else ():
            MMLogger.get_current_instance().warning(f"{one.file} {one.detail}")
        return samples

    dataset.is_valid_file, dataset._find_samples = is_valid_file, find_samples


def _true_size(
    dataset: Any, path: str, stated: tuple[int, int] | None, boxes: Sequence[Sequence[float]]
) -> tuple[int, int]:
    """The stated size, or that of the image if the stated one is none or would leave something out."""
    if not is_doubtful(stated, boxes, (dataset.filter_cfg or {}).get("min_size") or 0):
        assert stated is not None
        return stated
    image = check_image(path)
    if size := image.size or stated:
        return size
    raise DataError(f"image {path} {image.problems[0].detail}, and its annotation states no size")
