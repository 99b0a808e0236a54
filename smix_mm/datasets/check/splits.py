"""The files that a config reads, found without building its datasets, which would stop at the first bad file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Iterator, Mapping, Sequence

from ...utils.errors import DataError
from .coco import Record
from .text import EncodingError, read_lines

PARTS = ("train", "val", "test")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")
LOCAL_FILE_CLIENTS: tuple[Any, ...] = (None, {}, dict(backend="disk"))
"""Values of ``file_client_args``, mmcv's older name of ``backend_args``, for local files."""
_OFFICIAL = ("cifar-10-batches-py", "cifar-100-python")
_VOC = ("VOCDataset", "XMLDataset")
_CLASSIFICATION = ("CustomDataset", "ImageNet", "ImageNet21k", "InMemoryDataset")


@dataclass(frozen=True)
class Sample:
    """One image of a split.

    Attributes:
        name: its name in the split: an image id, or the image's path inside its folder.
        image: the image's path.
        annotation: the path of the XML file, or of the COCO file, for detection.
        line: its line in the split file, without the line end; empty without a split file.
        record: its entries in a COCO file.
    """

    name: str
    image: str
    annotation: str | None = None
    line: str = ""
    record: Record | None = None


@dataclass(frozen=True)
class Split:
    """What one dataset of a config reads.

    Attributes:
        parts: where the config uses it: ``"train"``, ``"val"``, ``"test"``.
        style: ``"voc"`` (split file and XML), ``"coco"`` (JSON), ``"list"`` (split file) or ``"folders"`` (one folder
            per class).
        data_root: the config's data root, with which the other paths begin, or an empty string.
        ann_file, images, annotations: split file, and folders of images and XML files; empty where there is none.
        classes: class names; None if the folders define them, or nothing does.
        num_classes: number of classes of the model; None if unknown.
        extensions: extensions of the image files to look for in folders.
        with_label: whether samples have classes.
        follow_exif: whether loading rotates images by their EXIF orientation.
        in_memory: whether this package reads all images at once.
        filter: MMDetection's ``filter_cfg`` of a training set; empty where nothing is filtered.
    """

    parts: tuple[str, ...]
    style: str
    data_root: str
    ann_file: str
    images: str
    annotations: str = ""
    classes: tuple[str, ...] | None = None
    num_classes: int | None = None
    extensions: tuple[str, ...] = EXTENSIONS
    with_label: bool = True
    follow_exif: bool = True
    in_memory: bool = False
    filter: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def file(self) -> str:
        """The split file or the folder that lists the samples."""
        return self.ann_file or self.images


def find_splits(cfg: Mapping[str, Any], parts: Iterable[str] = PARTS, *, strict: bool = True) -> list[Split]:
    """The splits that a config's dataloaders read, each once.

    Supported are image files read by the datasets of the first message below, and wrappers around them; others are
    left out unless ``strict``. A dataset that uses a part of its split (``indices``, a fold) is listed as a whole.

    Raises:
        DataError: class names are no list and no text file; or, if strict, a dataset is of another type, or there
            is none at all.
    """
    found: dict[Split, list[str]] = {}
    head = (cfg.get("model") or {}).get("head")
    number = head.get("num_classes") if isinstance(head, Mapping) else None
    number = number if isinstance(number, int) and number > 0 else None
    for part in parts:
        for path, dataset in datasets_of(cfg, part):
            classes = tuple(given_classes(dataset, path)[0] or ()) or None
            if strict and "://" in str(dataset.get("data_root")):
                raise DataError(f"data_root should be a local folder, got {dataset['data_root']}")
            split = _split(dataset, classes, number)
            if split is not None:
                found.setdefault(split, []).append(part)
            elif strict:
                known = ", ".join((*_CLASSIFICATION, *_VOC, "CocoDataset"))
                raise DataError(
                    f"{part}_dataloader reads a {type_name(dataset) or 'dataset without a type'}, which cannot be "
                    f"checked; expected image files read by one of {known}, without backend_args (CIFAR's official "
                    "files are checked by prepare_data.py NAME --check, packed images by --pack --check)"
                )
    if strict and not found:
        raise DataError("the config should have a dataset: train_dataloader=dict(dataset=...), or for val or test")
    return [replace(split, parts=tuple(dict.fromkeys(used))) for split, used in found.items()]


def datasets_of(cfg: Mapping[str, Any], part: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and settings of each dataset that a dataloader reads, without wrappers that repeat, concatenate or fold."""
    return list(_inner_datasets((cfg.get(f"{part}_dataloader") or {}).get("dataset"), f"{part}_dataloader.dataset"))


def _inner_datasets(dataset: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(dataset, Mapping) or not dataset:
        return
    if isinstance(dataset.get("datasets"), (list, tuple)):
        for index, inner in enumerate(dataset["datasets"]):
            yield from _inner_datasets(inner, f"{path}.datasets.{index}")
    elif isinstance(dataset.get("dataset"), Mapping):
        yield from _inner_datasets(dataset["dataset"], f"{path}.dataset")
    else:
        yield path, dataset


class ClassNamesError(DataError):
    """Class names that cannot be used: the setting, what is wrong with it, and what to change."""

    def __init__(self, setting: str, problem: str, fix: str) -> None:
        super().__init__(f"{setting} should name the classes, but {problem}; {fix}")
        self.setting, self.problem, self.fix = setting, problem, fix


def given_classes(dataset: Mapping[str, Any], path: str) -> tuple[Sequence[Any] | None, str]:
    """The class names that a dataset's settings give, and the setting.

    Args:
        dataset: Settings of a dataset.
        path: Their dotted name.

    Returns:
        The names, of a list, a tuple or a text file; None if none are given; and the dotted name of the setting.

    Raises:
        ClassNamesError: The setting is neither.
    """
    metainfo = dataset.get("metainfo") or {}
    if not isinstance(metainfo, Mapping):
        raise ClassNamesError(f"{path}.metainfo", f"is {metainfo!r}", "write dict(classes=('cat', 'dog'))")
    given, where = metainfo.get("classes"), f"{path}.metainfo.classes"
    if given is None:
        given, where = dataset.get("classes"), f"{path}.classes"
    if isinstance(given, str) and given:
        try:
            # As the datasets do, which expand "~" only in their argument, and leave out a blank line at the end.
            names = read_lines(os.path.expanduser(given) if where == f"{path}.classes" else given)
            return names[:-1] if names[-1:] == [""] else names, where
        except EncodingError as error:
            problem, _, fix = str(error).partition("; ")
            raise ClassNamesError(where, f"is the file {given}, which cannot be read: it {problem}", fix) from None
        except (OSError, ValueError):  # ValueError: a name with a NUL
            problem = f"is the string {given!r}, which is no file either"
            raise ClassNamesError(where, problem, f"for one class write ({given!r},) with its comma") from None
    if not isinstance(given, (list, tuple, type(None))):
        raise ClassNamesError(where, f"is {given!r}", "give the names of the classes, as ('cat', 'dog')")
    return given, where


def type_name(settings: Mapping[str, Any]) -> str:
    """The name of a config's ``type``, a string with or without scope or the class itself, without its scope."""
    given = settings.get("type", "")
    return given.rpartition(".")[2] if isinstance(given, str) else getattr(given, "__name__", "")


def _split(dataset: Mapping[str, Any], classes: tuple[str, ...] | None, num_classes: int | None) -> Split | None:
    kind, root = type_name(dataset), str(dataset.get("data_root") or "")
    steps = [step for step in dataset.get("pipeline") or () if isinstance(step, Mapping)]
    # A backend may not open local files.
    settings = [(each.get("backend_args"), each.get("file_client_args")) for each in (dataset, *steps)]
    backend = any(given or older not in LOCAL_FILE_CLIENTS for given, older in settings)
    if "://" in root or backend or kind not in (*_VOC, "CocoDataset", *_CLASSIFICATION):
        return None
    prefix: Any = dataset.get("data_prefix") or ""
    kept = {} if dataset.get("test_mode") else dict(dataset.get("filter_cfg") or {})
    common = Split((), "voc", root, "", "", follow_exif=_follows_exif(steps), filter=kept)
    if kind == "CocoDataset":
        return replace(
            common,
            style="coco",
            ann_file=os.path.join(root, dataset.get("ann_file", "")),
            images=os.path.join(root, prefix.get("img", "") if isinstance(prefix, Mapping) else ""),
            classes=classes or _own_classes(kind),
        )
    if kind in _VOC:
        base = os.path.join(root, prefix["sub_data_root"]) if "sub_data_root" in prefix else ""
        return replace(
            common,
            ann_file=os.path.join(root, dataset.get("ann_file", "")),
            images=os.path.join(base, dataset.get("img_subdir", "JPEGImages")),
            annotations=os.path.join(base, dataset.get("ann_subdir", "Annotations")),
            classes=classes or _own_classes(kind),
        )
    prefix = os.path.expanduser(prefix if isinstance(prefix, str) else prefix.get("img_path", ""))
    ann_file = os.path.expanduser(dataset.get("ann_file", ""))
    with_label = dataset.get("with_label", True)
    if kind == "InMemoryDataset":
        prefix = dataset.get("split", "train")
        if any(os.path.exists(os.path.join(root, name)) for name in _OFFICIAL):
            return None
    elif kind == "ImageNet" and dataset.get("split"):
        prefix = prefix or dataset["split"]
        with_label = with_label and dataset["split"] != "test"
        listed = os.path.join("meta", f"{dataset['split']}.txt")
        ann_file = ann_file or (listed if os.path.exists(os.path.join(root, listed)) else "")
    return replace(
        common,
        style="list" if ann_file else "folders",
        ann_file=os.path.join(root, ann_file) if ann_file else "",
        images=os.path.join(root, prefix),
        classes=classes,
        num_classes=num_classes if with_label else None,
        extensions=tuple(extension.lower() for extension in dataset.get("extensions", EXTENSIONS)),
        with_label=with_label,
        in_memory=kind == "InMemoryDataset",
    )


def _own_classes(kind: str) -> tuple[str, ...]:
    """The classes of one of MMDetection's datasets where the config names none."""
    from mmdet import datasets

    return tuple(getattr(datasets, kind).METAINFO.get("classes", ()))


def _follows_exif(steps: Iterable[Mapping[str, Any]]) -> bool:
    for step in steps:
        if type_name(step) == "LoadImageFromFile":
            color, backend = step.get("color_type", "color"), step.get("imdecode_backend", "cv2")
            return color in ("color", "grayscale") and backend in ("cv2", "pillow", None)
    return True
