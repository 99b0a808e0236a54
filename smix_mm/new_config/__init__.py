"""Short configs for a user's own images: a classifier for a folder of classes, a detector for VOC or COCO format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.check.findings import Finding
from ..datasets.check.images import has_image_suffix
from ..datasets.check.text import EncodingError, parse_annotation, read_annotation, read_lines
from ..datasets.convert.read import coco_files, image_folder
from ..datasets.convert.yolo import yolo_settings
from ..utils.choices import check_option
from ..utils.errors import DataError, UsageError
from ..utils.files import write_text
from ..utils.text import first_few
from .templates import BACKBONES, BLOCKS, MIXES, classifier_text, detector_text

__all__ = ["Layout", "find_layout", "new_config"]

_TRAIN = ("train", "training", "trainval")
_TEST = ("val", "valid", "validation", "test", "testing")


@dataclass(frozen=True)
class Layout:
    """What was found in a folder of data.

    Attributes:
        kind: ``'classes'`` (a folder for each class), ``'voc'`` or ``'coco'``.
        classes: names, in the order of their labels.
        train: settings of the training set's dataset, without pipeline and classes.
        test: the same for the set that is evaluated.
        number: training images.
    """

    kind: str
    classes: tuple[str, ...]
    train: dict[str, Any]
    test: dict[str, Any]
    number: int


def new_config(
    data: str | Path,
    out: str | Path,
    *,
    backbone: str = "resnet50",
    weights: str | None = None,
    mix: str = "saliencymix",
) -> Layout:
    """Write a short, commented config that trains on the images of a folder.

    Args:
        data: one of: ``train/<class>/`` and ``val/<class>/`` (or ``test``); VOC format (``Annotations``,
            ``JPEGImages``, ``ImageSets/Main``); COCO format (JSON files with train and val in their name or folder).
        out: config to write, ``.py``.
        backbone: one of ``BACKBONES``.
        weights: published backbone to start from. Defaults to None: random weights.
        mix: of the batches of a classifier, one of ``MIXES``.

    Returns:
        What was found in ``data``.

    Raises:
        UsageError: ``out`` exists or is no ``.py`` file, an option is none of these or no file, or the weights are
            those of another backbone.
        CheckpointError: the weights cannot be read.
        DataError: the folder has none of these layouts, no class, or no set to evaluate.
    """
    check_option("backbone", backbone, BACKBONES)
    check_option("mix", mix, MIXES)
    out = Path(out)
    if out.suffix != ".py":
        raise UsageError(f"the config should be a .py file, got {out}.")
    if out.exists():
        raise UsageError(f"{out} exists; choose another name.")
    if weights is not None and "://" not in weights and not Path(weights).is_file():
        raise UsageError(f"weights should be a file that publish_backbone wrote, got {weights}, which is none.")
    depth = int(backbone.removeprefix("resnet"))
    if weights is not None and "://" not in weights:
        _check_depth(weights, depth)
    root = Path(data).absolute()
    layout = find_layout(root)
    found = (root, layout.classes, layout.train, layout.test, depth, weights)
    write_text(out, classifier_text(*found, mix) if layout.kind == "classes" else detector_text(*found))
    return layout


def _check_depth(weights: str, depth: int) -> None:
    """Refuse weights that are not those of a ResNet of this depth, by the names of its blocks."""
    from ..transfer.checkpoint import read_checkpoint, state_dict_of

    state = state_dict_of(read_checkpoint(weights))
    names = {*map(str, state if isinstance(state, dict) else ())}
    blocks = tuple(len({name.split(".")[1] for name in names if name.startswith(f"layer{i}.")}) for i in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in names
    found = next((other for other, its in BLOCKS.items() if its == blocks and (other >= 50) == bottleneck), None)
    if found != depth:
        fix = f"--backbone resnet{found}" if found else "a ResNet that publish_backbone wrote"
        got = f"a ResNet-{found}" if found else "another network, or one that is not published"
        raise UsageError(f"weights should be those of a ResNet-{depth}, got {weights}, which holds {got}; give {fix}")


def find_layout(root: Path) -> Layout:
    """Recognise how a folder of data is organised; see :func:`new_config`."""
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the folder that holds the images.")
    if (root / "Annotations").is_dir():
        return _voc(root)
    if files := coco_files(root):
        return _coco(root, files)
    if yolo_settings(root) is not None:
        raise DataError(
            f"{root} is in YOLO format, which MMDetection does not read; convert it first: "
            f"python tools/convert_data.py {root} {root}-coco --to coco"
        )
    return _class_folders(root)


def _class_folders(root: Path) -> Layout:
    train, test = (next((name for name in names if (root / name).is_dir()), None) for names in (_TRAIN, _TEST))
    if train is None or test is None:
        raise DataError(
            f"{root} should hold train/<class>/ and val/<class>/, or Annotations/ (VOC format), or JSON files (COCO "
            f"format), got {first_few(sorted(path.name for path in root.iterdir()), 6) or 'an empty folder'}."
        )
    classes, others = (
        tuple(sorted(path.name for path in (root / name).iterdir() if path.is_dir())) for name in (train, test)
    )
    if {*classes} == {"images", "labels"}:
        raise DataError(
            f"{root} is in YOLO format without a readable data.yaml; write one with names, train and val, and convert "
            "the folder with tools/convert_data.py"
        )
    number = sum(has_image_suffix(path.name) for path in (root / train).rglob("*"))
    if not classes or not number:
        raise DataError(f"{root / train} should hold a folder of images for each class, got {len(classes)} folders.")
    if classes != others:
        different = sorted(set(classes) ^ set(others))
        raise DataError(f"{train} and {test} should hold the same classes; only one has {first_few(different, 5)}.")
    first, second = (dict(type="CustomDataset", data_prefix=name) for name in (train, test))
    return Layout("classes", classes, first, second, number)


def _voc(root: Path) -> Layout:
    splits = root / "ImageSets" / "Main"
    # trainval with val would be tested on its own training images.
    pairs = [("train", "val"), ("train", "test"), ("trainval", "test")]
    found = next((pair for pair in pairs if all((splits / f"{name}.txt").is_file() for name in pair)), None)
    if found is None:
        raise DataError(f"{splits} should hold train.txt and val.txt (or test.txt), or trainval.txt and test.txt.")
    split = splits / f"{found[0]}.txt"
    try:
        files = [str(root / "Annotations" / f"{line}.xml") for line in read_lines(str(split)) if line]
    except EncodingError as error:
        raise DataError(f"{split} {error} {split}") from None
    classes = set()
    for path in files:
        content = read_annotation(path)
        annotation = content if isinstance(content, Finding) else parse_annotation(content, path)
        if isinstance(annotation, Finding):
            raise DataError(f"{path} should be an annotation in VOC format: {annotation.detail}.")
        classes |= {(each.findtext("name") or "").strip() for each in annotation.iter("object")}
    if not classes - {""}:
        raise DataError(f"the annotations of {split} name no object.")
    train, test = (
        dict(type="VOCDataset", ann_file=f"ImageSets/Main/{name}.txt", data_prefix=dict(sub_data_root=""))
        for name in found
    )
    return Layout("voc", tuple(sorted(classes - {""})), train, test, len(files))


def _coco(root: Path, files: dict[str, tuple[Path, dict[str, Any]]]) -> Layout:
    pair = [files[part] for part in ("train", "val", "test") if part in files][:2]
    if "train" not in files or len(pair) < 2:
        name = pair[0][0].name
        raise DataError(f"{root} should hold a JSON file for training and one for val or test, got {name} alone.")
    # MMDetection numbers labels in the order of the file.
    classes, others = (tuple(str(each["name"]) for each in content["categories"]) for _, content in pair)
    if not classes or classes != others:
        raise DataError(
            f"the JSON files of {root} should list the same categories in the same order, got {classes} and {others}."
        )
    train, test = (
        dict(
            type="CocoDataset",
            ann_file=path.relative_to(root).as_posix(),
            data_prefix=dict(img=image_folder(root, path, content)),
        )
        for path, content in pair
    )
    return Layout("coco", classes, train, test, len(pair[0][1]["images"]))
