"""Classes: the same names in every dataset, and as many of them as every head has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from ..datasets.check.splits import type_name
from .findings import Finding, contradiction, doubt
from .settings import PARTS, augments_of, datasets_of, default_of, evaluators_of, preprocessor_of, registered, walk

_HEADS = ("bbox_head", "mask_head", "head", "panoptic_head", "semantic_head", "decode_head", "auxiliary_head")


def check_classes(cfg: Mapping[str, Any]) -> list[Finding]:
    """Compare class names over the datasets, and their number with heads, preprocessor, augmentations and metrics."""
    findings: list[Finding] = []
    named: list[tuple[str, tuple[str, ...]]] = []
    for part in PARTS:
        for path, dataset in datasets_of(cfg, part):
            classes = _classes(cfg, path, dataset, findings)
            if classes is not None:
                named.append((path, classes))
    if not named:
        return findings
    first, expected = named[0]
    for path, classes in named[1:]:
        if classes != expected:
            findings.append(
                contradiction(
                    f"{path}.metainfo.classes",
                    f"{_difference(classes, expected)} {first}",
                    "give every dataset the same classes in the same order",
                )
            )
    count = len(expected)
    for setting, number in _numbers(cfg):
        if number != count:
            findings.append(
                contradiction(setting, f"is {number}, but {first} has {count} classes", f"set {setting}={count}")
            )
    return findings + list(_check_evaluators(cfg, expected, first)) + list(_check_rpn(cfg))


def _classes(
    cfg: Mapping[str, Any], path: str, dataset: Mapping[str, Any], findings: list[Finding]
) -> tuple[str, ...] | None:
    metainfo = dataset.get("metainfo")
    given = (metainfo.get("classes") if isinstance(metainfo, Mapping) else None) or dataset.get("classes")
    where = f"{path}.metainfo.classes" if isinstance(metainfo, Mapping) and "classes" in metainfo else f"{path}.classes"
    if isinstance(given, str):
        file = Path(os.path.expanduser(given))
        if file.is_file():
            try:
                given = file.read_text("utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                findings.append(contradiction(where, f"is the file {file}, which cannot be read: {error}", "use UTF-8"))
                return None
        else:
            findings.append(
                contradiction(
                    where,
                    f"is the string {given!r}, which is no file either",
                    f"for one class write ({given!r},) with its comma",
                )
            )
            return None
    if isinstance(given, (list, tuple)):
        twice = sorted({str(name) for name in given if list(given).count(name) > 1})
        if twice:
            findings.append(contradiction(where, f"names {', '.join(twice)} twice", "name each class once"))
        return tuple(map(str, given))
    kind = registered(cfg, "DATASETS", dataset)
    known = (getattr(kind, "METAINFO", None) or {}).get("classes")
    if known:
        return tuple(known)
    return _folder_names(dataset)


def _folder_names(dataset: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Classes that are the folders of a classification dataset."""
    if dataset.get("ann_file") or not dataset.get("with_label", True):
        return None
    if type_name(dataset) not in ("CustomDataset", "ImageNet", "InMemoryDataset"):
        return None
    prefix = dataset.get("data_prefix") or dataset.get("split") or ""
    prefix = prefix if isinstance(prefix, str) else prefix.get("img_path", "")
    folder = Path(os.path.expanduser(str(dataset.get("data_root") or ""))) / prefix
    if not folder.is_dir():
        return None
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir())) or None


def _difference(classes: Sequence[str], expected: Sequence[str]) -> str:
    if sorted(classes) == sorted(expected):
        return f"has the order {_shown(classes)}, but {_shown(expected)} is that of"
    folded = {name.casefold() for name in classes} == {name.casefold() for name in expected}
    hint = " (upper and lower case differ)" if folded else ""
    return f"is {_shown(classes)}, but {_shown(expected)} are those{hint} of"


def _shown(names: Sequence[str], most: int = 6) -> str:
    return f"({', '.join(names[:most])}{f', ... {len(names)} in all' if len(names) > most else ''})"


def _numbers(cfg: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every setting that is the number of classes, and its value."""
    model = cfg.get("model") or {}
    for path, settings in walk(model, "model"):
        parts = path.split(".")
        if any(part in ("backbone", "neck", "rpn_head", "data_preprocessor", "teacher") for part in parts):
            continue
        if isinstance(settings.get("num_classes"), int):
            yield f"{path}.num_classes", settings["num_classes"]
        elif "num_classes" not in settings and _is_head(parts) and settings.get("type"):
            default = default_of(registered(cfg, "MODELS", settings), "num_classes")
            if isinstance(default, int) and default > 0:
                yield f"{path}.num_classes", default
        if isinstance(settings.get("num_things_classes"), int):
            yield f"{path}.num_things_classes", settings["num_things_classes"]
    path, preprocessor = preprocessor_of(cfg)
    if isinstance(preprocessor.get("num_classes"), int):
        yield f"{path}.num_classes", preprocessor["num_classes"]
    for augment_path, augment in augments_of(preprocessor, path):
        if isinstance(augment.get("num_classes"), int):
            yield f"{augment_path}.num_classes", augment["num_classes"]
    for part in PARTS:
        for metric_path, metric in evaluators_of(cfg, part):
            if isinstance(metric.get("num_classes"), int):
                yield f"{metric_path}.num_classes", metric["num_classes"]


def _is_head(parts: Sequence[str]) -> bool:
    names = [part for part in parts if not part.isdigit()]
    return bool(names) and names[-1] in _HEADS


def _check_evaluators(cfg: Mapping[str, Any], classes: tuple[str, ...], first: str) -> Iterator[Finding]:
    model = cfg.get("model") or {}
    has_masks = any("mask_head" in settings for _, settings in walk(model, "model"))
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
                    yield contradiction(
                        f"{path}.classes", f"{_difference(own, classes)} {first}", "give both the same classes"
                    )
            topk = metric.get("topk")
            topk = [topk] if isinstance(topk, int) else topk
            if isinstance(topk, (list, tuple)) and max((k for k in topk if isinstance(k, int)), default=1) > len(
                classes
            ):
                yield contradiction(
                    f"{path}.topk",
                    f"is {max(topk)}, but there are {len(classes)} classes",
                    f"set {path}.topk=1 or at most {len(classes)}",
                )
            file = metric.get("ann_file")
            if files and isinstance(file, str) and not any(_same_file(file, one) for one in files):
                yield contradiction(
                    f"{path}.ann_file",
                    f"is {file}, but {part}_dataloader reads {', '.join(sorted(files))}",
                    "evaluate on the annotations that are read",
                )
            asked = metric.get("metric", ())
            asked = [asked] if isinstance(asked, str) else asked
            if type_name(metric).startswith("Coco") and "segm" in asked and not has_masks:
                yield contradiction(
                    f"{path}.metric", "has 'segm', but the model has no mask head", f"set {path}.metric=bbox"
                )
    if has_masks:
        for path, dataset in datasets_of(cfg, "train"):
            steps = [step for step in dataset.get("pipeline") or () if type_name(step) == "LoadAnnotations"]
            if steps and not any(step.get("with_mask") for step in steps):
                yield contradiction(
                    f"{path}.pipeline",
                    "loads no masks, but the model has a mask head",
                    "set with_mask=True of LoadAnnotations",
                )


def _same_file(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)


def _check_rpn(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    rpn = (cfg.get("model") or {}).get("rpn_head")
    number = rpn.get("num_classes") if isinstance(rpn, Mapping) else None
    if isinstance(number, int) and number != 1 and "roi_head" in (cfg.get("model") or {}):
        yield doubt(
            "model.rpn_head.num_classes",
            f"is {number}, but the RPN of a two-stage detector tells objects from background only",
            "leave it out; MMDetection sets it to 1",
        )
