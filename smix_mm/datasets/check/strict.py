"""Strict loading: training on unchecked data leaves out what is bad, and says so, or stops with the file's name."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Iterable, Iterator, Sequence

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from ...utils.errors import DataError
from .boxes import usable_box
from .findings import ERRORS, Problem, summary
from .images import is_whole
from .listing import list_samples
from .splits import Split, find_splits, type_name
from .voc import clean_annotation, read_annotation

# Training goes on without these; everything else in a split file or an annotation stops it.
_FIXED = ("box-without-area", "box-outside", "unknown-class", "size-differs", "no-boxes", "no-size", "repeated-name")
_ADVICE = "python tools/check_data.py CONFIG lists all of it, and its --fix OUT writes a clean copy"


def make_strict(cfg: Config, parts: Sequence[str] = ("train", "val")) -> list[str]:
    """Prepare a config, before its Runner is built, for data that nobody checked.

    Images are loaded by :class:`StrictLoadImage`, boxes go through :class:`SanitizeBoxes` in training, and
    split files and VOC-style annotations are read once: those that OpenMMLab cannot read stop the run here, by
    name, and the rest is summed up in one
    warning. With good data, nothing that is trained on changes. Of other kinds of datasets, the pipelines
    alone are changed.

    Args:
        cfg: mmpretrain's or MMDetection's config; changed in place.
        parts: which dataloaders the run will build.

    Returns:
        The warning, for the Runner's log; nothing where all is well.

    Raises:
        DataError: split files or annotations that cannot be used; the message names them.
    """
    for part in parts:
        loader = cfg.get(f"{part}_dataloader")
        for owner in _with_pipeline((loader or {}).get("dataset")):
            owner["pipeline"] = _strict(owner["pipeline"], fix=part == "train")
    left_out = _screen(split for split in find_splits(cfg, parts, strict=False) if split.style != "folders")
    if not left_out:
        return []
    for hook in cfg.get("custom_hooks") or ():
        if type_name(hook) == "BoxCheckHook":
            hook["quiet"] = True
    return [f"The run goes on without what is wrong in its data: {summary(left_out)}; {_ADVICE}."]


def _with_pipeline(settings: Any) -> Iterator[Any]:
    if isinstance(settings, dict):
        if isinstance(settings.get("pipeline"), (list, tuple)):
            yield settings
        for name, value in settings.items():
            if name != "pipeline":
                yield from _with_pipeline(value)
    elif isinstance(settings, (list, tuple)):
        for one in settings:
            yield from _with_pipeline(one)


def _strict(pipeline: Iterable[Any], fix: bool) -> list[Any]:
    steps: list[Any] = []
    for step in pipeline:
        name = type_name(step) if isinstance(step, dict) else ""
        if name == "LoadImageFromFile":
            step = {**step, "type": "StrictLoadImage"}
        loaded = [type_name(one) for one in steps if isinstance(one, dict)]
        if fix and name == "LoadAnnotations" and "StrictLoadImage" in loaded and "SanitizeBoxes" not in loaded:
            steps.append(dict(type="SanitizeBoxes"))
        steps.append(step)
    return steps


def _screen(splits: Iterable[Split]) -> list[tuple[str, Problem]]:
    """Files and problems of split files and annotations that training goes on without."""
    problems: list[tuple[str, Problem]] = []
    annotations: dict[tuple[str, tuple[str, ...]], None] = {}
    for split in splits:
        listing = list_samples(split)
        problems += [(one.file, Problem(one.kind, one.detail)) for one in listing.findings]
        if find_spec("defusedxml") is not None:  # MMDetection's own errors are all there is without it
            annotations.update(
                dict.fromkeys((one.annotation, split.classes or ()) for one in listing.samples if one.annotation)
            )
    for path, classes in annotations:
        content = read_annotation(path)
        found = [content] if isinstance(content, Problem) else clean_annotation(content, classes).problems
        problems += [(path, problem) for problem in found]
    fatal = [(file, problem) for file, problem in problems if problem.kind not in _FIXED]
    if fatal:
        file, problem = fatal[0]
        more = f"; in all, {summary(fatal)}" if len(fatal) > 1 else ""
        raise DataError(f"{file}: {problem.kind}: {problem.detail}{more}; {_ADVICE}")
    return [(file, problem) for file, problem in problems if problem.kind in ERRORS]


@TRANSFORMS.register_module()
class StrictLoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, for image files whose end is there.

    Decoders differ in what they make of a JPEG that breaks off: OpenCV 4.10 and 4.11 fill the rest with what they
    decoded before (https://github.com/opencv/opencv/issues/26488), later ones give nothing, and Pillow raises
    without the file's name. Takes the same arguments.

    Raises:
        DataError: an image is missing, is none, or breaks off; the message names it. With
            ``ignore_empty=True`` it is passed over instead, as in mmcv.
    """

    def transform(self, results: dict) -> dict | None:
        """Adds ``img``, ``img_shape``, ``ori_shape`` to ``results``, from ``img_path``."""
        path = results["img_path"]
        try:
            img = self._load(path)
        except DataError:
            if self.ignore_empty:
                return None
            raise
        results["img"] = img.astype(np.float32) if self.to_float32 else img
        results["img_shape"] = results["ori_shape"] = img.shape[:2]
        return results

    def _load(self, path: str) -> np.ndarray:
        try:
            if self.file_client_args is not None:
                content = fileio.FileClient.infer_client(self.file_client_args, path).get(path)
            else:
                content = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError:
            raise _error(path, "is not there") from None
        except OSError as error:
            raise _error(path, f"cannot be read ({error.strerror or error})") from None
        if not is_whole(content):
            raise _error(path, f"breaks off after {len(content)} bytes")
        try:
            img = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        except Exception as error:  # decoders have many ways to refuse bytes
            raise _error(path, f"is no image ({type(error).__name__} in decoding)") from None
        if img is None:
            raise _error(path, "is no image that can be decoded")
        return img


@TRANSFORMS.register_module()
class SanitizeBoxes(BaseTransform):
    """Leave out boxes without area or wholly outside of their image, and clip those that leave it.

    The logarithm of a box side of zero turns the box loss into NaN. It goes between the loading of
    the image and ``LoadAnnotations``, and changes nothing of good boxes.
    """

    def transform(self, results: dict) -> dict:
        """Fixes ``instances``, each with ``bbox`` (x1, y1, x2, y2) in pixels from 0, by ``img_shape``."""
        height, width = results["img_shape"]
        instances = [one for one in results.get("instances", ()) if usable_box(one["bbox"], (width, height))]
        for one in instances:
            x1, y1, x2, y2 = one["bbox"]
            one["bbox"] = [max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)]
        results["instances"] = instances
        return results


def _error(path: str, what: str) -> DataError:
    return DataError(
        f"image {path} {what}; wanted whole images: python tools/check_data.py CONFIG names all that are not, "
        "and its --fix leaves them out"
    )
