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
from .findings import ERRORS, Problem, summarize
from .images import check_image, is_whole
from .left import Tally, describe_left_out, nothing_left
from .listing import list_samples
from .objects import read_objects
from .readers import correct_readers
from .splits import Sample, Split, find_splits, type_name
from .voc import SIZE_CORRECTED, Annotation, is_doubtful, usable_box

# Training continues without these; every other error in a split file or an annotation stops it.
_FIXED = (
    "box-without-area", "box-outside", "unknown-class", "size-differs", "no-boxes", "no-size", "repeated-name",
    "unlisted-image"
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
        loader = cfg.get(f"{part}_dataloader")
        for owner in _with_pipeline((loader or {}).get("dataset")):
            if part != "train":
                _check_order(cfg, part, owner["pipeline"])
            owner["pipeline"] = _strict(owner["pipeline"], fix=part == "train")
    splits = find_splits(cfg, parts, strict=False)
    left_out, notes = _check_annotations(split for split in splits if split.style != "folders" or split.in_memory)
    if left_out:
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


def _check_annotations(splits: Iterable[Split]) -> tuple[list[tuple[str, Problem]], list[str]]:
    """Files and tolerated errors of split files and annotations, and what filters leave out; others are raised."""
    problems: list[tuple[str, Problem]] = []
    notes: list[str] = []
    checked: dict[tuple[Sample, tuple[str, ...] | None], Tally | None] = {}
    listings = [list_samples(split) for split in splits]
    for listing in listings:
        split = listing.split
        if split.in_memory:  # mmpretrain's folders are not listed twice; a missing one has a message of its own
            if empty := [one for one in listing.findings if one.kind in ("empty-split", "empty-class")]:
                raise DataError(f"{empty[-1].file}: {empty[-1].kind}: {empty[-1].detail}; {_ADVICE}")
            notes += [f"{one.file} {one.detail}" for one in listing.findings if one.kind == "unread-image"]
            continue
        problems += [(one.file, Problem(one.kind, one.detail)) for one in listing.findings]
        # Without defusedxml, MMDetection itself reports bad XML files.
        if split.style == "voc" and find_spec("defusedxml") is None:
            continue
        for sample in listing.samples:
            key = (sample, split.classes)
            if sample.annotation and key not in checked:
                found = _read(sample, split)
                problems += [(sample.annotation, problem) for problem in found.problems]
                checked[key] = found.tally
    fatal = [(file, one) for file, one in problems if one.kind not in _FIXED and one.fixed != SIZE_CORRECTED]
    if fatal:
        file, problem = fatal[0]
        more = f"; in all, {summarize(fatal)}" if len(fatal) > 1 else ""
        raise DataError(f"{file}: {problem.kind}: {problem.detail}{more}; {_ADVICE}")
    for listing in listings:
        split, samples = listing.split, listing.samples
        tallies = [checked[one, split.classes] for one in samples if (one, split.classes) in checked]
        if not tallies:
            continue
        if why := nothing_left(listing, tallies):
            raise DataError(f"{why}; {_ADVICE}")
        if left_out := describe_left_out(split, [tally for tally in tallies if tally is not None]):
            notes.append(f"{split.file}: {left_out}.")
    return [(file, problem) for file, problem in problems if problem.kind in ERRORS], notes


def _read(sample: Sample, split: Split) -> Annotation:
    """An annotation, with the size of its image where it states none or one that leaves something out."""
    found = read_objects(sample, split.classes or ())
    outside = any(problem.kind == "box-outside" for problem in found.problems)
    if found.root is not None and (outside or is_doubtful(found.size, (), split.filter.get("min_size") or 0)):
        size = check_image(sample.image, follow_exif=split.follow_exif).size
        return read_objects(sample, split.classes or (), size=size)
    return found


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
        """Add ``img``, ``img_shape`` and ``ori_shape`` to ``results``, from ``img_path``."""
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
        return self._decode(path, self._read(path), self.color_type)

    def _read(self, path: str) -> bytes:
        """The bytes of a file, or of a record of another backend, which have to be whole."""
        try:
            if self.file_client_args is not None:
                content = fileio.FileClient.infer_client(self.file_client_args, path).get(path)
            else:
                content = fileio.get(path, backend_args=self.backend_args)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise _error(path, "does not exist" if missing else f"cannot be read ({error.strerror or error})") from None
        except ImportError as error:
            raise PackageError(f"image {path} cannot be read: {first_line(error)}") from None
        except Exception as error:
            if (self.backend_args or {}).get("backend") != "lmdb":
                raise
            # lmdb has its own errors, and its keys are ASCII.
            raise _error(path, f"cannot be read from {self.backend_args['db_path']} ({first_line(error)})") from None
        if content is None:
            raise _error(path, f"does not exist in {self.backend_args['db_path']}")
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
