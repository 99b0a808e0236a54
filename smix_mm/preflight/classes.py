"""Classes: the same names in every dataset, and as many of them as every head has."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

from ..datasets.check.coco import read_coco
from ..datasets.check.splits import ClassNamesError, datasets_of, find_splits, given_classes, type_name
from ..datasets.check.text import ORDER_ADVICE, describe_categories
from ..utils.errors import DataError
from ..utils.text import first_few
from .settings import (
    PARTS,
    Finding,
    augments_of,
    contradiction,
    default_of,
    doubt,
    evaluators_of,
    is_known,
    preprocessor_of,
    registered,
    walk,
)

_HEADS = ("bbox_head", "mask_head", "head", "decode_head", "auxiliary_head")
# Parts of a model whose number of classes is not that of the data.
_OTHER_NUMBERS = ("backbone", "neck", "rpn_head", "semantic_head", "data_preprocessor", "teacher")
# In the names of models that predict masks.
_MASKS = re.compile("mask|ins|seg|solo|yolact|point", re.IGNORECASE)


def check_classes(cfg: Mapping[str, Any]) -> list[Finding]:
    """Compare class names over the datasets, and their number with heads, preprocessor, augmentations and metrics."""
    findings: list[Finding] = []
    named: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = []
    for part in PARTS:
        for path, dataset in datasets_of(cfg, part):
            classes = _classes(cfg, path, dataset, findings)
            if classes is not None:
                named.append((path, dataset, classes))
    model = cfg.get("model") or {}
    # A detector that reads the names of classes has no number of them, and may be tested on other ones.
    if not named or "language_model" in model:
        return findings
    first, dataset, expected = named[0]
    for path, other, classes in named[1:]:
        if classes != expected:
            # Of another type, it may convert names, as a tracker's test set does.
            same = (other.get("type") == dataset.get("type") or "metainfo" in other) and "tracker" not in model
            problem, fix = f"{_difference(classes, expected)} {first}", "give every dataset the same classes and order"
            findings.append((contradiction if same else doubt)(f"{path}.metainfo.classes", problem, fix))
    kinds = [str(settings.get("type")) for settings in (dataset, *(settings for _, settings in walk(model, "model")))]
    if any("Panoptic" in kind for kind in kinds):
        return findings  # things and stuff are counted and evaluated apart
    count = len(expected)
    for setting, number, level in _numbers(cfg):
        if number != count:
            findings.append(level(setting, f"is {number}, but {first} has {count} classes", f"set {setting}={count}"))
    return findings + list(_check_evaluators(cfg, expected, first)) + list(_check_rpn(cfg))


def _classes(
    cfg: Mapping[str, Any], path: str, dataset: Mapping[str, Any], findings: list[Finding]
) -> tuple[str, ...] | None:
    """The class names of a dataset; None if they are unknown, or not usable, which is added to ``findings``."""
    try:
        given, where = given_classes(dataset, path)
    except ClassNamesError as error:
        findings.append(contradiction(error.setting, error.problem, error.fix))
        return None
    if given is not None:
        if not given:
            findings.append(contradiction(where, f"is {given!r}", "give the names of the classes, as ('cat', 'dog')"))
            return None
        twice = sorted({str(name) for name in given if list(given).count(name) > 1})
        if twice:
            findings.append(contradiction(where, f"names {', '.join(twice)} twice", "name each class once"))
        return tuple(map(str, given))
    known = (getattr(registered(cfg, "DATASETS", dataset), "METAINFO", None) or {}).get("classes")
    if known:
        return tuple(known)
    folders = _folder_names(dataset)
    hidden = [name for name in folders if name.startswith(".")]
    if hidden:
        problem = f"has the hidden folder {', '.join(hidden)}, which the dataset takes for a class"
        findings.append(contradiction(path, problem, "delete it"))
    return tuple(name for name in folders if name not in hidden) or None


def check_trained_classes(
    cfg: Mapping[str, Any], meta: Mapping[str, Any], file: object, part: str = "train"
) -> Iterator[Finding]:
    """Compare the classes of a dataloader with those that a checkpoint's ``meta`` records."""
    trained = (meta.get("dataset_meta") or {}).get("classes")
    # A detector that reads the names of classes may have them in any order.
    if not isinstance(trained, (list, tuple)) or "language_model" in (cfg.get("model") or {}):
        return
    trained = tuple(map(str, trained))
    for path, dataset in datasets_of(cfg, part):
        classes = _classes(cfg, path, dataset, [])
        if classes is None or classes == trained:
            continue
        level = contradiction if sorted(classes) == sorted(trained) else doubt
        problem = f"{_difference(classes, trained)} {file}"
        yield level(f"{path}.metainfo.classes", problem, "give the classes that the checkpoint was trained with")


def _folder_names(dataset: Mapping[str, Any]) -> list[str]:
    """Classes that are the folders of a classification dataset."""
    in_folders = type_name(dataset) in ("CustomDataset", "ImageNet", "InMemoryDataset")
    if not in_folders or dataset.get("ann_file") or not dataset.get("with_label", True):
        return []
    default = "train" if type_name(dataset) == "InMemoryDataset" else ""
    prefix = dataset.get("data_prefix") or dataset.get("split") or default
    prefix = prefix if isinstance(prefix, str) else prefix.get("img_path", "")
    folder = Path(os.path.expanduser(str(dataset.get("data_root") or ""))) / prefix
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def _difference(classes: Sequence[str], expected: Sequence[str]) -> str:
    shown, others = f"({first_few(classes, 6)})", f"({first_few(expected, 6)})"
    if sorted(classes) == sorted(expected):
        return f"has the order {shown}, but {others} is that of"
    folded = {name.casefold() for name in classes} == {name.casefold() for name in expected}
    hint = " (upper and lower case differ)" if folded else ""
    return f"is {shown}, but {others} are those{hint} of"


def _numbers(cfg: Mapping[str, Any]) -> Iterator[tuple[str, int, Callable[[str, str, str], Finding]]]:
    """Every setting that is the number of classes, its value, and how certain it is that it is one."""
    for path, settings in walk(cfg.get("model") or {}, "model"):
        parts = [part for part in path.split(".") if not part.isdigit()]
        if any(part in _OTHER_NUMBERS for part in parts):
            continue
        kind, number = registered(cfg, "MODELS", settings), settings.get("num_classes")
        if isinstance(number, int):
            known = "type" not in settings or is_known(kind)
            yield f"{path}.num_classes", number, contradiction if known else doubt
        elif "num_classes" not in settings and parts[-1] in _HEADS and is_known(kind):
            default = default_of(kind, "num_classes")
            if isinstance(default, int) and default > 0:
                yield f"{path}.num_classes", default, contradiction
    path, preprocessor = preprocessor_of(cfg)
    places = [(path, preprocessor), *augments_of(preprocessor, path)]
    for path, settings in places + [place for part in PARTS for place in evaluators_of(cfg, part)]:
        if isinstance(settings.get("num_classes"), int):
            yield f"{path}.num_classes", settings["num_classes"], contradiction


def _check_evaluators(cfg: Mapping[str, Any], classes: tuple[str, ...], first: str) -> Iterator[Finding]:
    model = cfg.get("model") or {}
    no_masks = not any(_MASKS.search(str(settings.get("type"))) for _, settings in walk(model, "model"))
    for part in ("val", "test"):
        files = {
            os.path.join(str(dataset.get("data_root") or ""), str(dataset["ann_file"]))
            for _, dataset in datasets_of(cfg, part)
            if dataset.get("ann_file")
        }
        for path, metric in evaluators_of(cfg, part):
            for place in (metric.get("metainfo"), metric.get("dataset_meta"), metric):
                own = place.get("classes") if isinstance(place, Mapping) else None
                if isinstance(own, (list, tuple)) and tuple(own) != classes:
                    problem = f"{_difference(own, classes)} {first}"
                    yield contradiction(f"{path}.classes", problem, "give both the same classes")
            topk = metric.get("topk")
            most = max(
                (k for k in (topk if isinstance(topk, (list, tuple)) else [topk]) if isinstance(k, int)), default=1
            )
            if most > len(classes):
                problem = f"is {most}, but there are {len(classes)} classes"
                yield contradiction(f"{path}.topk", problem, f"set {path}.topk=1 or at most {len(classes)}")
            file = metric.get("ann_file")
            if files and isinstance(file, str) and os.path.abspath(file) not in map(os.path.abspath, files):
                problem = f"is {file}, but {part}_dataloader reads {', '.join(sorted(files))}"
                yield contradiction(f"{path}.ann_file", problem, "evaluate on the annotations that are read")
            asked = metric.get("metric", ())
            asked = [asked] if isinstance(asked, str) else asked
            if type_name(metric).startswith("Coco") and "segm" in asked and no_masks:
                problem = "has 'segm', but the model predicts no masks"
                yield contradiction(f"{path}.metric", problem, f"set {path}.metric=bbox")
    if "mask_head" in (model.get("roi_head") or {}):
        for path, dataset in datasets_of(cfg, "train"):
            steps = [step for step in dataset.get("pipeline") or () if type_name(step) == "LoadAnnotations"]
            if steps and not any(step.get("with_mask") for step in steps):
                problem = "loads no masks, but the model has a mask head"
                yield contradiction(f"{path}.pipeline", problem, "set with_mask=True of LoadAnnotations")


def _check_rpn(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    rpn = (cfg.get("model") or {}).get("rpn_head")
    number = rpn.get("num_classes") if isinstance(rpn, Mapping) else None
    if isinstance(number, int) and number != 1 and "roi_head" in (cfg.get("model") or {}):
        problem = f"is {number}, but the RPN of a two-stage detector distinguishes only objects and background"
        yield doubt("model.rpn_head.num_classes", problem, "leave it out; MMDetection sets it to 1")


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
