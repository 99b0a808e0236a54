"""Pixels: normalization, batch augmentations and the order of pipelines."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Sequence

from ..datasets.check.splits import type_name
from ..datasets.check.strict import moves_boxes
from ..utils.channels import batch_order, loaded_order
from ..utils.constants import IMAGENET_MEAN
from .settings import (
    PARTS,
    Finding,
    augments_of,
    contradiction,
    default_of,
    doubt,
    pipelines_of,
    preprocessor_of,
    registered,
)

_LOADING = (
    "LoadImageFromFile", "StrictLoadImage", "LoadRandomResizedCrop", "LoadImageFromNDArray", "LoadImageFromWebcam",
)  # fmt: skip
_RANDOM = re.compile("Random|Mosaic|MixUp|Jitter|AutoAugment|RandAugment|MinIoU|PhotoMetric|Lighting")


def check_pixels(cfg: Mapping[str, Any]) -> list[Finding]:
    """Check scale and order of the normalization, and what the batch augmentations are told of it."""
    return [*_check_preprocessor(cfg), *_check_augments(cfg)]


def _numbers(value: Any) -> list[float] | None:
    if not isinstance(value, (list, tuple)) or not all(isinstance(number, (int, float)) for number in value):
        return None
    return [float(number) for number in value]


def _check_preprocessor(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    path, settings = preprocessor_of(cfg)
    above = cfg.get("data_preprocessor")
    if path != "data_preprocessor" and isinstance(above, Mapping) and above:
        unlike = sorted(name for name in {*above, *settings} if above.get(name) != settings.get(name))
        if unlike:
            problem = f"differs from model.data_preprocessor in {', '.join(unlike)}, and only the latter is used"
            yield doubt("data_preprocessor", problem, "keep one of the two")
    mean, std = settings.get("mean"), settings.get("std")
    if (mean is None) != (std is None):
        missing = "mean" if mean is None else "std"
        yield contradiction(f"{path}.{missing}", "is missing", "give both mean and std, or neither")
        return
    means, stds = _numbers(mean), _numbers(std)
    for name, given, numbers in (("mean", mean, means), ("std", std, stds)):
        if given is not None and (numbers is None or len(numbers) not in (1, 3)):
            yield contradiction(f"{path}.{name}", f"is {given}", "give one number or three, one for each channel")
            return
    if means is None or stds is None:
        return
    if min(stds) <= 0:
        yield contradiction(f"{path}.std", f"is {stds}", "give positive numbers")
    elif 0 < max(map(abs, means)) <= 1 or (max(map(abs, means)) == 0 and max(stds) < 1):
        problem = f"is {means} and std {stds}, for pixels from 0 to 1, but OpenMMLab's pixels go from 0 to 255"
        yield contradiction(f"{path}.mean", problem, "multiply both by 255")
    elif max(means) > 10 and max(stds) <= 0.5:
        problem = f"is {stds}, for pixels from 0 to 1, but mean is {means}, for 0 to 255"
        yield contradiction(f"{path}.std", problem, "give both in one scale, 0 to 255")
    flips = bool(settings.get("to_rgb") or settings.get("bgr_to_rgb"))
    if loaded_order(cfg.get("train_dataloader")) == "bgr" and len(means) == 3:
        rgb_means = _close(means, IMAGENET_MEAN)
        if (rgb_means and not flips) or (_close(means, IMAGENET_MEAN[::-1]) and flips):
            order = ("RGB", "BGR") if rgb_means else ("BGR", "RGB")
            flip = "to_rgb" if cfg.get("default_scope") == "mmpretrain" else "bgr_to_rgb"
            problem = f"is ImageNet's in the order {order[0]}, but the channels are {order[1]} here"
            yield doubt(f"{path}.mean", problem, f"set {flip} as mean and weights need it")
    for part in PARTS:
        for steps_path, steps in pipelines_of(cfg, part):
            if any(type_name(step) == "Normalize" for step in steps):
                problem = f"has Normalize, and {path} normalizes as well"
                yield contradiction(steps_path, problem, "take Normalize out of the pipeline")


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) < 0.05 for a, b in zip(one, other))


def _check_augments(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    path, settings = preprocessor_of(cfg)
    augments = augments_of(settings, path)
    if not augments:
        return
    head = (cfg.get("model") or {}).get("head")
    if isinstance(head, Mapping) and head.get("cal_acc"):
        yield contradiction(
            "model.head.cal_acc", "is True, but mixed images have no single label", "set model.head.cal_acc=False"
        )
    order = batch_order(cfg.get("train_dataloader"), bool(settings.get("to_rgb")))
    probs = (settings["batch_augments"] or {}).get("probs") if isinstance(settings["batch_augments"], Mapping) else None
    if any(number < 0 for number in _numbers(probs if isinstance(probs, list) else [probs]) or ()):
        problem = f"is {probs}, but a probability is not negative"
        yield contradiction(f"{path}.batch_augments.probs", problem, "give numbers from 0 to 1")
    for augment_path, augment in augments:
        kind = registered(cfg, "BATCH_AUGMENTS", augment)
        for name in ("mean", "std"):
            theirs = _numbers(augment.get(name, default_of(kind, name)))
            ours = _numbers(settings.get(name))
            if theirs is None or (kind is not None and default_of(kind, name) is None):
                continue
            if ours is None:
                problem = f"is {theirs}, but {path} has no {name}"
                yield contradiction(f"{augment_path}.{name}", problem, f"give {path} the same {name}")
            elif not _close(theirs, ours):
                problem = f"is {theirs}, but {path}.{name} is {ours}"
                yield contradiction(f"{augment_path}.{name}", problem, "give both the same")
        given = augment.get("channel_order", default_of(kind, "channel_order"))
        if order and given in ("rgb", "bgr") and given != order:
            setting = f"{augment_path}.channel_order"
            problem = f"is {given!r}, but {path} makes {order.upper()} of the batch"
            yield contradiction(setting, problem, f"set {setting}={order}")


def check_pipelines(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the order of the steps of every pipeline."""
    detection = cfg.get("default_scope") == "mmdet" or any(
        key in (cfg.get("model") or {}) for key in ("bbox_head", "roi_head", "rpn_head")
    )
    for part in PARTS:
        for path, steps in pipelines_of(cfg, part):
            names = [type_name(step) for step in steps]
            places = {name: names.index(name) for name in names}
            loads = [places[name] for name in _LOADING if name in places]
            packs = [place for place, name in enumerate(names) if name.startswith("Pack")]
            geometric = [place for place, name in enumerate(names) if moves_boxes(name)]
            if loads and loads[0] != 0 and names[0] != "LoadAnnotations":
                yield contradiction(path, f"begins with {names[0]}, before the image is loaded", "load the image first")
            if packs and packs[0] != len(names) - 1:
                last = names[packs[0]]
                yield contradiction(path, f"has {names[packs[0] + 1]} after {last}", f"put {last} last")
            random = [name for name in names if part != "train" and _RANDOM.search(name)]
            if random:
                yield doubt(path, f"has {', '.join(random)}, so results change from run to run", "leave it out")
            if not detection or "LoadAnnotations" not in places or not geometric:
                continue
            loaded = places["LoadAnnotations"]
            if part == "train" and loaded > geometric[0]:
                first = names[geometric[0]]
                problem = f"has LoadAnnotations after {first}, so boxes and image do not fit"
                yield contradiction(path, problem, f"load annotations before {first}")
            if part != "train" and loaded < geometric[-1]:
                last = names[geometric[-1]]
                problem = f"has LoadAnnotations before {last}, so boxes are resized that are compared with predictions"
                yield contradiction(path, f"{problem} at the original size", f"load annotations after {last}")
            keys = steps[packs[0]].get("meta_keys") if packs else None
            if part != "train" and isinstance(keys, (list, tuple)) and not {"scale_factor", "border"} & {*keys}:
                problem = "has no scale_factor, by which predictions are brought back to the image's size"
                yield contradiction(f"{path}.{packs[0]}.meta_keys", problem, "add 'scale_factor'")
