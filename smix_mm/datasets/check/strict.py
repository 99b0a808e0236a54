"""Strict loading: training on unchecked data leaves out bad boxes with a warning, or stops and names the bad file."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any, Iterable, Iterator, Sequence

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from ...utils.errors import DataError, PackageError
from ...utils.packages import first_line
from .checker import check_listings
from .findings import ERRORS, summarize
from .images import is_whole
from .listing import list_samples
from .readers import correct_readers
from .splits import LOCAL_FILE_CLIENTS, find_splits, type_name
from .voc import SIZE_CORRECTED, usable_box

# Training continues without these; every other error in a split file or an annotation stops it.
_TOLERATED = (
    "box-without-area", "box-outside", "unknown-class", "size-differs", "no-boxes", "no-size", "repeated-name",
    "unlisted-image", "filtered-out", "unread-image"
)  # fmt: skip
_ADVICE = "python tools/check_data.py CONFIG lists everything, and its --fix OUT writes a clean copy"


def make_strict(cfg: Config, parts: Sequence[str] = ("train", "val")) -> list[str]:
    """Prepare a config for unchecked data, before its Runner is built.

    Images are loaded by :class:`StrictLoadImage`, training boxes pass through :class:`SanitizeBoxes`, and
    split files and annotations in VOC's or COCO's format are read once: one that OpenMMLab cannot read raises an
    error, the other problems are summarized in one warning. Good data is not changed. For other kinds of datasets,
    only the pipelines are changed.

    Args:
        cfg: mmpretrain's or MMDetection's config; changed in place.
        parts: the dataloaders that the run will build.

    Returns:
        Warnings, for the Runner's log: on what is wrong, and on what a dataset's filter leaves out.

    Raises:
        DataError: a split file or an annotation cannot be used, nothing is left of a set, class names are a string,
            or a test pipeline resizes the boxes to compare with; the message names it.
    """
    correct_readers()
    for part in parts:
        for owner in _with_pipeline((cfg.get(f"{part}_dataloader") or {}).get("dataset")):
            if part != "train":
                _check_order(cfg, part, owner["pipeline"])
            owner["pipeline"] = _strict(owner["pipeline"], fix=part == "train")
    splits = find_splits(cfg, parts, strict=False)
    # mmpretrain lists folders itself, and without defusedxml MMDetection itself reports bad XML files.
    unread = ("folders", "voc") if find_spec("defusedxml") is None else ("folders",)
    listings = [list_samples(split) for split in splits if split.style not in unread or split.in_memory]
    checked = check_listings(listings, decode=None)
    findings = checked.report.findings
    fatal = [one for one in findings if one.kind not in _TOLERATED and one.fixed != SIZE_CORRECTED]
    if fatal:
        more = f"; in all, {summarize(fatal)}" if len(fatal) > 1 else ""
        raise DataError(f"{fatal[0].file}: {fatal[0].kind}: {fatal[0].detail}{more}; {_ADVICE}")
    try:
        checked.require_samples()
    except DataError as error:
        raise DataError(f"{error}; {_ADVICE}") from None
    notes = [f"{one.file}: {one.detail}." for one in findings if one.kind in ("filtered-out", "unread-image")]
    if left_out := [one for one in findings if one.kind in ERRORS and one.kind != "unread-image"]:
        notes.insert(0, f"The run leaves out or corrects what is wrong in its data: {summarize(left_out)}; {_ADVICE}.")
    return notes


def moves_boxes(transform: str) -> bool:
    """Whether the name of a transform is of one that moves pixels and boxes."""
    return re.search("Resize|Crop|Flip|Expand|Affine|Shift|Rotate", transform) is not None


def _check_order(cfg: Config, part: str, pipeline: Iterable[Any]) -> None:
    """Refuse boxes to compare with that are resized, because detectors return boxes in the original image."""
    metrics = cfg.get(f"{part}_evaluator") or ()
    metrics = metrics.get("metrics", metrics) if isinstance(metrics, dict) else metrics
    metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    if any(isinstance(one, dict) and type_name(one) in ("DetectionMetric", "VOCMetric") for one in metrics):
        steps = [type_name(step) for step in pipeline if isinstance(step, dict)]
        after = steps[steps.index("LoadAnnotations") :] if "LoadAnnotations" in steps else []
        if moving := [name for name in after if moves_boxes(name)]:
            raise DataError(
                f"the pipeline of {part}_dataloader should load annotations after {moving[-1]}, got LoadAnnotations "
                f"before it, so the metric would compare resized boxes with boxes in the original image"
            )


def _with_pipeline(settings: Any) -> Iterator[Any]:
    if isinstance(settings, dict):
        if isinstance(settings.get("pipeline"), (list, tuple)):
            yield settings
        settings = [value for name, value in settings.items() if name != "pipeline"]
    for one in settings if isinstance(settings, (list, tuple)) else ():
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


@TRANSFORMS.register_module()
class StrictLoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, with an error for missing, truncated and unreadable files.

    Decoders treat a truncated JPEG differently: OpenCV 4.10 and 4.11 fill the rest with what they decoded
    before (https://github.com/opencv/opencv/issues/26488), later ones return nothing, and Pillow raises an error
    without the file's name. The arguments are those of ``LoadImageFromFile``.

    Raises:
        DataError: a file is missing, truncated or not an image; the message names it. With
            ``ignore_empty=True`` it is skipped instead, as in mmcv.
    """

    def transform(self, results: dict) -> dict | None:
        """Add what :meth:`load` returns for ``img_path`` to ``results``."""
        try:
            results.update(self.load(results["img_path"]))
        except DataError:
            if self.ignore_empty:
                return None
            raise
        return results

    def load(self, path: str) -> dict[str, Any]:
        """``img``, ``img_shape`` and ``ori_shape`` of an image file."""
        img = self._decode(path, self._read(path), self.color_type)
        img = img.astype(np.float32) if self.to_float32 else img
        return dict(img=img, img_shape=img.shape[:2], ori_shape=img.shape[:2])

    def _read(self, path: str) -> bytes:
        """The bytes of a file, or of a record of another backend, which have to be whole."""
        older = self.file_client_args
        backend_args = self.backend_args if older in LOCAL_FILE_CLIENTS else older
        database = (backend_args or {}).get("db_path", "")
        try:
            content = fileio.get(path, backend_args=backend_args)
        except ImportError as error:
            raise PackageError(f"image {path} cannot be read: {first_line(error)}") from None
        except FileNotFoundError:
            content = None
        except Exception as error:  # every backend has its own errors
            reason = getattr(error, "strerror", None) or first_line(error)
            raise _error(path, f"cannot be read{database and f' from {database}'} ({reason})") from None
        if content is None:
            raise _error(path, f"does not exist{database and f' in {database}'}")
        if not is_whole(content):
            raise _error(path, f"is truncated: it ends after {len(content)} bytes")
        return content

    def _decode(self, path: str, content: bytes, flag: str | int) -> np.ndarray:
        """Decode the bytes of ``path``; ``flag`` is one of mmcv's names or of OpenCV's numbers."""
        try:
            img = mmcv.imfrombytes(content, flag=flag, backend=self.imdecode_backend)
        except Exception as error:  # decoders raise many kinds of errors
            raise _error(path, f"is not an image ({type(error).__name__} in decoding)") from None
        if img is None:
            raise _error(path, "is not an image that can be decoded")
        return img


@TRANSFORMS.register_module()
class SanitizeBoxes(BaseTransform):
    """Remove boxes without area or completely outside the image, and clip boxes to the image.

    The logarithm of a box side of zero makes the box loss NaN. The transform belongs between the loading of
    the image and ``LoadAnnotations``; it does not change good boxes.
    """

    def transform(self, results: dict) -> dict:
        """Fix ``instances``, each with ``bbox`` (x1, y1, x2, y2) in pixels from 0, using ``img_shape``."""
        height, width = results["img_shape"]
        instances = [one for one in results.get("instances", ()) if usable_box(one["bbox"], (width, height))]
        for one in instances:
            x1, y1, x2, y2 = one["bbox"]
            one["bbox"] = [max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)]
        results["instances"] = instances
        return results


def _error(path: str, what: str) -> DataError:
    return DataError(
        f"image {path} {what}; python tools/check_data.py CONFIG lists all bad images, and its --fix OUT writes a "
        "copy without them"
    )
