"""Which files a config reads, found without building its datasets, which would stop at the first bad one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Iterator, Mapping

from ...utils.errors import DataError
from .findings import Finding

PARTS = ("train", "val", "test")
# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")
_OFFICIAL = ("cifar-10-batches-py", "cifar-100-python")
_VOC = ("VOCDataset", "XMLDataset")
_CLASSIFICATION = ("CustomDataset", "ImageNet", "ImageNet21k", "InMemoryDataset")


@dataclass(frozen=True)
class Sample:
    """One image of a split.

    Attributes:
        name: what the split calls it: an image id, or the image's path inside its folder.
        image: the image's path.
        annotation: the XML's path, for detection.
        line: its line in the split file, without the line end; empty where there is no such file.
    """

    name: str
    image: str
    annotation: str | None = None
    line: str = ""


@dataclass(frozen=True)
class Split:
    """What one dataset of a config reads.

    Attributes:
        parts: where the config uses it: ``"train"``, ``"val"``, ``"test"``.
        style: ``"voc"`` (split file and XML), ``"list"`` (split file) or ``"folders"`` (a folder a class).
        data_root: the config's own, which the other paths begin with, or an empty string.
        ann_file: split file; empty for ``"folders"``.
        images: folder of the images.
        annotations: folder of the XML files; empty for classification.
        classes: names; None where the folders give them, or nothing does.
        num_classes: how many the model tells apart; None where that is not known.
        extensions: of image files that are looked for in folders.
        with_label: whether samples have classes.
        follow_exif: whether loading turns images by their EXIF orientation.
    """

    parts: tuple[str, ...]
    style: str
    data_root: str
    ann_file: str
    images: str
    annotations: str = ""
    classes: tuple[str, ...] | None = None
    num_classes: int | None = None
    extensions: tuple[str, ...] = _EXTENSIONS
    with_label: bool = True
    follow_exif: bool = True

    @property
    def file(self) -> str:
        """The place that lists the samples."""
        return self.ann_file or self.images


@dataclass
class Listing:
    """The samples of a split in their order, what is wrong with the list, and its class folders."""

    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    folders: tuple[str, ...] = ()


def find_splits(cfg: Mapping[str, Any], parts: Iterable[str] = PARTS, *, strict: bool = True) -> list[Split]:
    """The splits that a config's dataloaders read, each once.

    Understood are mmpretrain's ``CustomDataset`` and ``ImageNet``, MMDetection's ``XMLDataset`` and
    ``VOCDataset``, this package's ``InMemoryDataset`` over image files, and wrappers around them. A
    dataset that takes a part of its split (``indices``, a fold) counts with the whole of it.

    Args:
        cfg: the config.
        parts: which of its dataloaders.
        strict: refuse other datasets, instead of leaving them out.

    Raises:
        DataError: a dataset is of another type, or there is none at all.
    """
    found: dict[Split, list[str]] = {}
    for part in parts:
        loader = cfg.get(f"{part}_dataloader") or {}
        for dataset in inner_datasets(loader.get("dataset") or {}):
            split = None
            try:
                split = _split(dataset, _num_classes(cfg))
            except DataError:
                if strict:
                    raise
            if split is not None:
                used = found.setdefault(split, [])
                used += [] if part in used else [part]
            elif strict:
                raise DataError(
                    f"{part}_dataloader reads a {type_name(dataset) or 'dataset without a type'}, which cannot be "
                    f"checked; wanted image files through one of {', '.join(_CLASSIFICATION + _VOC)}"
                )
    if strict and not found:
        raise DataError("the config has no dataset; wanted train_dataloader=dict(dataset=...) or one for val or test")
    return [replace(split, parts=tuple(used)) for split, used in found.items()]


def inner_datasets(dataset: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The datasets inside wrappers that repeat, concatenate, balance or fold."""
    inner = dataset.get("datasets") or ([dataset["dataset"]] if dataset.get("dataset") else None)
    if inner is None:
        if dataset:
            yield dataset
        return
    for one in inner:
        yield from inner_datasets(one)


def type_name(settings: Mapping[str, Any]) -> str:
    """The bare name of a config's ``type``, be it a name with its scope or the class itself."""
    given = settings.get("type", "")
    return given.rpartition(".")[2] if isinstance(given, str) else getattr(given, "__name__", "")


def _split(dataset: Mapping[str, Any], num_classes: int | None) -> Split | None:
    kind = type_name(dataset)
    root = str(dataset.get("data_root") or "")
    if "://" in root:
        raise DataError(f"the data are at {root}; wanted a folder of this machine")
    follow_exif = _follows_exif(dataset.get("pipeline") or ())
    if dataset.get("backend_args"):  # a store that is reached in another way than by opening files
        return None
    if kind in _VOC:
        prefix = dataset.get("data_prefix") or {}
        base = _under(root, prefix["sub_data_root"]) if "sub_data_root" in prefix else ""
        return Split(
            parts=(),
            style="voc",
            data_root=root,
            ann_file=_under(root, dataset.get("ann_file", "")),
            images=os.path.join(base, dataset.get("img_subdir", "JPEGImages")),
            annotations=os.path.join(base, dataset.get("ann_subdir", "Annotations")),
            classes=_classes(dataset) or (VOC_CLASSES if kind == "VOCDataset" else ()),
            follow_exif=follow_exif,
        )
    if kind not in _CLASSIFICATION:
        return None
    prefix = dataset.get("data_prefix", "")
    prefix = os.path.expanduser(prefix if isinstance(prefix, str) else prefix.get("img_path", ""))
    ann_file = os.path.expanduser(dataset.get("ann_file", ""))
    with_label = dataset.get("with_label", True)
    if kind == "InMemoryDataset":
        prefix = dataset.get("split", "train")
        official = any(os.path.exists(os.path.join(root, name)) for name in _OFFICIAL)
        if dataset.get("layout", "auto") != "folder" and official:
            return None
    elif kind == "ImageNet" and dataset.get("split"):
        prefix = prefix or dataset["split"]
        with_label = with_label and dataset["split"] != "test"
        listed = os.path.join("meta", f"{dataset['split']}.txt")
        ann_file = ann_file or (listed if os.path.exists(os.path.join(root, listed)) else "")
    return Split(
        parts=(),
        style="list" if ann_file else "folders",
        data_root=root,
        ann_file=_under(root, ann_file) if ann_file else "",
        images=_under(root, prefix),
        classes=_classes(dataset),
        num_classes=num_classes if with_label else None,
        extensions=tuple(extension.lower() for extension in dataset.get("extensions", _EXTENSIONS)),
        with_label=with_label,
        follow_exif=follow_exif,
    )


def _under(root: str, path: str) -> str:
    """mmengine's rule: the root goes before what is not absolute."""
    return os.path.join(root, path) if root else path


def _classes(dataset: Mapping[str, Any]) -> tuple[str, ...] | None:
    given = (dataset.get("metainfo") or {}).get("classes") or dataset.get("classes")
    if isinstance(given, str):
        try:
            with open(os.path.expanduser(given), encoding="utf-8") as file:
                return tuple(line.rstrip("\n\r") for line in file)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"classes are {given!r}, which cannot be read: {error}; wanted names or a file") from None
    return tuple(given) if given else None


def _num_classes(cfg: Mapping[str, Any]) -> int | None:
    head = (cfg.get("model") or {}).get("head")
    number = head.get("num_classes") if isinstance(head, Mapping) else None
    return number if isinstance(number, int) and number > 0 else None


def _follows_exif(pipeline: Iterable[Any]) -> bool:
    for step in pipeline:
        if isinstance(step, Mapping) and type_name(step) == "LoadImageFromFile":
            color, backend = step.get("color_type", "color"), step.get("imdecode_backend", "cv2")
            return color in ("color", "grayscale") and backend in ("cv2", "pillow", None)
    return True
