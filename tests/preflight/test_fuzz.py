"""One contradiction at a time is put into valid configs; the preflight names all of them."""

import copy
import random
from pathlib import Path

import pytest

pytest.importorskip("mmdet")

import mmpretrain.datasets
import mmpretrain.models  # noqa: F401

from smix_mm.datasets.check.splits import datasets_of
from smix_mm.preflight import preflight
from smix_mm.preflight.settings import preprocessor_of, walk
from smix_mm.utils.config import read_config

ROOT = Path(__file__).parents[2]
CONFIGS = [
    "configs/cifar10/resnet18_saliencymix_cifar10.py",
    "configs/cifar10/resnet18_cutmix_cifar10.py",
    "configs/cifar10/fast/resnet18_saliencymix_cifar10.py",
    "configs/cifar100/resnet50_saliencymix_cifar100.py",
    "configs/imagenet/resnet50_saliencymix_in1k.py",
    "configs/imagenet/resnet50_official-saliencymix_in1k.py",
    "configs/imagenet/resnet101_mixup_in1k.py",
    "configs/tiny_imagenet/resnet50_saliencymix_tiny-imagenet.py",
    "configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py",
    "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py",
    "configs/voc/retinanet_r50_fpn_1x_voc0712.py",
    "configs/voc/faster-rcnn_swin-t_fpn_1x_voc0712.py",
    "configs/bccd/faster-rcnn_r18_fpn_bccd.py",
]
PREPROCESSOR = ("mean", "std")


def steps(cfg, part, number):
    """One of the pipelines of a dataloader, to be changed in place."""
    found = []
    for _, settings in walk(cfg.get(f"{part}_dataloader"), ""):
        if isinstance(settings.get("pipeline"), list):
            found.append(settings)
    return found[number % len(found)] if found else None


def names(pipeline):
    return [step["type"].rpartition(".")[2] for step in pipeline]


def dataset(cfg, part, number):
    found = datasets_of(cfg, part)
    return found[number % len(found)] if found else (None, None)


def classes_of(cfg, settings):
    from smix_mm.preflight.classes import _classes

    return _classes(cfg, "", settings, [])


# Each takes a config and a random number, changes the config, and returns how the setting to be named begins; None
# where the config has no such place.


def other_order(part):
    def change(cfg, pick):
        _, settings = dataset(cfg, part, pick)
        classes = settings and classes_of(cfg, settings)
        if not classes or len(classes) < 2:
            return None
        swapped = list(classes)
        place = pick % (len(swapped) - 1)
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        settings["metainfo"] = {"classes": tuple(swapped)}
        return ("train_dataloader", "val_dataloader", "test_dataloader")

    return change


def fewer_classes(part):
    def change(cfg, pick):
        _, settings = dataset(cfg, part, pick)
        classes = settings and classes_of(cfg, settings)
        if not classes:
            return None
        settings["metainfo"] = {"classes": tuple(classes[: max(1, len(classes) - 1 - pick % 2)])}
        if len(settings["metainfo"]["classes"]) == len(classes):
            return None
        return ("train_dataloader", "val_dataloader", "test_dataloader", "model", "data_preprocessor")

    return change


def other_case(cfg, pick):
    _, settings = dataset(cfg, "val", pick)
    classes = settings and classes_of(cfg, settings)
    if not classes or tuple(name.swapcase() for name in classes) == tuple(classes):
        return None
    settings["metainfo"] = {"classes": tuple(name.swapcase() for name in classes)}
    return ("val_dataloader", "test_dataloader")


def one_string(cfg, pick):
    path, settings = dataset(cfg, ("train", "val", "test")[pick % 3], pick)
    settings["metainfo"] = {"classes": "cat"}
    return (path,)


def twice_the_same(cfg, pick):
    _, settings = dataset(cfg, "train", pick)
    classes = classes_of(cfg, settings)
    if not classes:
        return None
    settings["metainfo"] = {"classes": (*classes[:-1], classes[0])} if len(classes) > 1 else {"classes": classes * 2}
    return ("train_dataloader",)


def other_number(cfg, pick):
    heads = [
        (path, settings)
        for path, settings in walk(cfg["model"], "model")
        if "num_classes" in settings and "rpn_head" not in path
    ]
    if not heads or not any(classes_of(cfg, settings) for _, settings in datasets_of(cfg, "train")):
        return None
    path, settings = heads[pick % len(heads)]
    settings["num_classes"] += (1, -1, 80)[pick % 3]
    return (f"{path}.num_classes",)


def forgotten_number(cfg, pick):
    head = cfg["model"].get("roi_head", {}).get("bbox_head")
    if not isinstance(head, dict):
        return None
    head.pop("num_classes", None)
    return ("model.roi_head.bbox_head.num_classes",)


def preprocessor_number(cfg, pick):
    path, settings = preprocessor_of(cfg)
    if "num_classes" not in settings or not any(classes_of(cfg, each) for _, each in datasets_of(cfg, "train")):
        return None
    settings["num_classes"] += 1 + pick % 5
    return (f"{path}.num_classes",)


def too_many_best(cfg, pick):
    if "head" not in cfg["model"] or not any(classes_of(cfg, each) for _, each in datasets_of(cfg, "val")):
        return None
    cfg["val_evaluator"] = {"type": "Accuracy", "topk": (1, 2000 + pick)}
    return ("val_evaluator",)


def small_scale(cfg, pick):
    path, settings = preprocessor_of(cfg)
    for name in PREPROCESSOR:
        settings[name] = [number / 255 for number in settings[name]]
    return (path,)


def small_std(cfg, pick):
    path, settings = preprocessor_of(cfg)
    settings["std"] = [number / 255 for number in settings["std"]]
    return (f"{path}.std", f"{path}.batch_augments")


def no_std(cfg, pick):
    path, settings = preprocessor_of(cfg)
    settings[PREPROCESSOR[pick % 2]] = None
    return (path,)


def two_means(cfg, pick):
    path, settings = preprocessor_of(cfg)
    settings[PREPROCESSOR[pick % 2]] = settings[PREPROCESSOR[pick % 2]][:2]
    return (path,)


def negative_std(cfg, pick):
    path, settings = preprocessor_of(cfg)
    settings["std"] = [0.0 if pick % 2 else -number for number in settings["std"]]
    return (f"{path}.std",)


def turned_channels(cfg, pick):
    path, settings = preprocessor_of(cfg)
    name = "to_rgb" if "to_rgb" in settings else "bgr_to_rgb"
    if name not in settings or abs(settings["mean"][0] - 123.675) > 0.05:
        return None
    settings[name] = not settings[name]
    return (f"{path}.mean", f"{path}.batch_augments")


def normalized_twice(cfg, pick):
    settings = steps(cfg, ("train", "val")[pick % 2], pick)
    if settings is None:
        return None
    settings["pipeline"].insert(-1, {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1]})
    return ("train_dataloader", "val_dataloader")


def augment(change_one):
    def change(cfg, pick):
        path, settings = preprocessor_of(cfg)
        augments = (settings.get("batch_augments") or {}).get("augments")
        augments = [augments] if isinstance(augments, dict) else augments
        if not augments or not change_one(augments[0], settings, pick):
            return None
        return (f"{path}.batch_augments", "model.head.cal_acc")

    return change


def its_mean(one, settings, pick):
    if "mean" not in one:
        return False
    name = PREPROCESSOR[pick % 2]
    one[name] = [number + 1 + pick % 20 for number in one[name]]
    return True


def its_order(one, settings, pick):
    if "mean" not in one:
        return False
    one["channel_order"] = "bgr"
    return True


def its_scale(one, settings, pick):
    if "mean" not in one:
        return False
    for name in PREPROCESSOR:
        one[name] = [number / 255 for number in one[name]]
    return True


def accuracy_of_mixes(cfg, pick):
    head = cfg["model"].get("head")
    if not isinstance(head, dict) or not preprocessor_of(cfg)[1].get("batch_augments"):
        return None
    head["cal_acc"] = True
    return ("model.head.cal_acc",)


def load_late(cfg, pick):
    settings = steps(cfg, ("train", "val", "test")[pick % 3], pick)
    if settings is None or len(settings["pipeline"]) < 3 or "LoadImage" not in str(settings["pipeline"][0]["type"]):
        return None
    pipeline = settings["pipeline"]
    pipeline.insert(1, pipeline.pop(0))
    if names(pipeline)[0] == "LoadAnnotations":
        return None
    return ("train_dataloader", "val_dataloader", "test_dataloader")


def pack_early(cfg, pick):
    settings = steps(cfg, ("train", "val", "test")[pick % 3], pick)
    if settings is None or not names(settings["pipeline"])[-1].startswith("Pack"):
        return None
    pipeline = settings["pipeline"]
    pipeline.insert(len(pipeline) - 2, pipeline.pop())
    return ("train_dataloader", "val_dataloader", "test_dataloader")


def boxes_resized(cfg, pick):
    part = ("val", "test")[pick % 2]
    settings = steps(cfg, part, pick)
    if settings is None or "LoadAnnotations" not in names(settings["pipeline"]):
        return None
    pipeline = settings["pipeline"]
    pipeline.insert(1, pipeline.pop(names(pipeline).index("LoadAnnotations")))
    return (f"{part}_dataloader", "val_dataloader", "test_dataloader")


def boxes_not_resized(cfg, pick):
    settings = steps(cfg, "train", pick)
    if settings is None or "LoadAnnotations" not in names(settings["pipeline"]):
        return None
    pipeline = settings["pipeline"]
    pipeline.insert(-1, pipeline.pop(names(pipeline).index("LoadAnnotations")))
    return ("train_dataloader",)


def no_scale_factor(cfg, pick):
    settings = steps(cfg, "test", pick)
    if settings is None or not settings["pipeline"][-1].get("meta_keys"):
        return None
    pack = settings["pipeline"][-1]
    pack["meta_keys"] = tuple(key for key in pack["meta_keys"] if key != "scale_factor")
    return ("test_dataloader", "val_dataloader")


def random_test(cfg, pick):
    settings = steps(cfg, ("val", "test")[pick % 2], pick)
    if settings is None:
        return None
    settings["pipeline"].insert(1, {"type": "RandomFlip", "prob": 0.5})
    return ("val_dataloader", "test_dataloader")


def missing_weights(cfg, pick):
    cfg["model"]["backbone"]["init_cfg"] = {"type": "Pretrained", "checkpoint": f"none{pick}.pth"}
    return ("model.backbone.init_cfg",)


def unnamed_weights(cfg, pick):
    cfg["model"]["backbone"]["init_cfg"] = {"type": "Pretrained", "checkpoint": None if pick % 2 else ""}
    return ("model.backbone.init_cfg",)


def missing_start(cfg, pick):
    cfg["load_from"] = f"work_dirs/none{pick}.pth"
    return ("load_from",)


def other_preprocessor(cfg, pick):
    if "data_preprocessor" in cfg["model"] or not cfg.get("data_preprocessor"):
        return None
    cfg["model"]["data_preprocessor"] = {**copy.deepcopy(cfg["data_preprocessor"]), "std": [50.0 + pick % 9] * 3}
    return ("data_preprocessor", "model.data_preprocessor")


def rpn_classes(cfg, pick):
    if "roi_head" not in cfg["model"]:
        return None
    cfg["model"]["rpn_head"]["num_classes"] = 2 + pick % 20
    return ("model.rpn_head.num_classes",)


CHANGES = {
    **{f"order of {part}": other_order(part) for part in ("train", "val", "test")},
    **{f"fewer in {part}": fewer_classes(part) for part in ("train", "val", "test")},
    "case": other_case,
    "one string": one_string,
    "one name twice": twice_the_same,
    "number of a head": other_number,
    "number forgotten": forgotten_number,
    "number of the preprocessor": preprocessor_number,
    "topk": too_many_best,
    "scale of mean and std": small_scale,
    "scale of std": small_std,
    "no std": no_std,
    "two numbers": two_means,
    "std not positive": negative_std,
    "channels": turned_channels,
    "normalized twice": normalized_twice,
    "mean of the augmentation": augment(its_mean),
    "order of the augmentation": augment(its_order),
    "scale of the augmentation": augment(its_scale),
    "accuracy of mixes": accuracy_of_mixes,
    "image loaded late": load_late,
    "packed early": pack_early,
    "random test": random_test,
    "boxes resized in testing": boxes_resized,
    "boxes not resized in training": boxes_not_resized,
    "no scale factor": no_scale_factor,
    "missing weights": missing_weights,
    "unnamed weights": unnamed_weights,
    "missing start": missing_start,
    "two preprocessors": other_preprocessor,
    "classes of the RPN": rpn_classes,
}


def base(path: str):
    cfg = read_config(ROOT / path).to_dict()
    for _, settings in walk(cfg["model"], "model"):
        if isinstance(settings.get("init_cfg"), dict):
            settings["init_cfg"] = None
    return cfg


def contradictions(path: str):
    """Name, config and the beginning of the setting to be named, of each change that the config has a place for."""
    whole = base(path)
    for name, change in CHANGES.items():
        for attempt in range(2):
            cfg = copy.deepcopy(whole)
            expected = change(cfg, random.Random(f"{path} {name} {attempt}").randrange(1000))
            if expected is not None:
                yield name, cfg, expected


@pytest.mark.parametrize("path", CONFIGS)
def test_every_contradiction_put_into_a_config_is_named(path):
    assert preflight(base(path)) == []
    unnamed = []
    for name, cfg, expected in contradictions(path):
        found = [finding.setting for finding in preflight(cfg)]
        if not any(setting.startswith(expected) for setting in found):
            unnamed.append((name, expected, found))
    assert unnamed == []


def test_at_least_300_contradictions_are_tried():
    assert sum(1 for path in CONFIGS for _ in contradictions(path)) >= 300
