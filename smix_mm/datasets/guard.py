"""What makes a training on unprepared data either leave out what is bad, and say so, or stop with the file's name."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Iterable, Iterator, Sequence

from mmengine.config import Config

from .findings import ERRORS, DataError, Problem, summary
from .listing import list_samples
from .splits import Split, find_splits, type_name
from .voc_check import clean_annotation, read_annotation

# Training goes on without these; everything else in a split file or an annotation stops it.
_MENDED = ("box-without-area", "box-outside", "unknown-class", "size-differs", "no-boxes", "no-size", "repeated-name")
_ADVICE = "python tools/check_data.py CONFIG lists all of it, and its --fix OUT writes a clean copy"


def guard_data(cfg: Config, parts: Sequence[str] = ("train", "val")) -> list[str]:
    """Prepare a config, before its Runner is built, for data that nobody checked.

    Pictures are loaded by :class:`~smix_mm.datasets.whole_picture.LoadWholePicture`, boxes go through
    :class:`~smix_mm.datasets.whole_picture.MendBoxes` in training, and split files and VOC-style annotations are
    read once: those that OpenMMLab cannot read stop the run here, by name, and the rest is summed up in one
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
    from . import whole_picture  # noqa: F401  (registers)

    for part in parts:
        loader = cfg.get(f"{part}_dataloader")
        for owner in _with_pipeline((loader or {}).get("dataset")):
            owner["pipeline"] = _guarded(owner["pipeline"], mend=part == "train")
    left_out = _screen(split for split in find_splits(cfg, parts, strict=False) if split.style != "folders")
    if not left_out:
        return []
    for hook in cfg.get("custom_hooks") or ():
        if type_name(hook) == "BoxCheckHook":
            hook["quiet"] = True
    return [f"The run goes on without what is wrong in its data: {summary(left_out)}; {_ADVICE}."]


def usable_box(box: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box ``(x1, y1, x2, y2)``, counted from 0, has an area inside a picture of ``(width, height)``."""
    x1, y1, x2, y2 = box
    return max(x1, 0) < min(x2, size[0]) and max(y1, 0) < min(y2, size[1])


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


def _guarded(pipeline: Iterable[Any], mend: bool) -> list[Any]:
    steps: list[Any] = []
    for step in pipeline:
        name = type_name(step) if isinstance(step, dict) else ""
        if name == "LoadImageFromFile":
            step = {**step, "type": "LoadWholePicture"}
        loaded = [type_name(one) for one in steps if isinstance(one, dict)]
        if mend and name == "LoadAnnotations" and "LoadWholePicture" in loaded and "MendBoxes" not in loaded:
            steps.append(dict(type="MendBoxes"))
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
    fatal = [(file, problem) for file, problem in problems if problem.kind not in _MENDED]
    if fatal:
        file, problem = fatal[0]
        more = f"; in all, {summary(fatal)}" if len(fatal) > 1 else ""
        raise DataError(f"{file}: {problem.kind}: {problem.detail}{more}; {_ADVICE}")
    return [(file, problem) for file, problem in problems if problem.kind in ERRORS]
