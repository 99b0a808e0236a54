"""The files that a config reads, found without building its datasets, which would stop at the first bad file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Iterator, Mapping, Sequence

from ...utils.errors import DataError
from .findings import Finding, why_unreadable

PARTS = ("train", "val", "test")
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")
_OFFICIAL = ("cifar-10-batches-py", "cifar-100-python")
_VOC = ("VOCDataset", "XMLDataset")
_CLASSIFICATION = ("CustomDataset", "ImageNet", "ImageNet21k", "InMemoryDataset")


@dataclass(frozen=True)
class Sample:
    """One image of a split.

    Attributes:
        name: its name in the split: an image id, or the image's path inside its folder.
        image: the image's path.
        annotation: the path of the XML file, for detection.
        line: its line in the split file, without the line end; empty without a split file.
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
        style: ``"voc"`` (split file and XML), ``"list"`` (split file) or ``"folders"`` (one folder per class).
        data_root: the config's data root, with which the other paths begin, or an empty string.
        ann_file: split file; empty for ``"folders"``.
        images: folder of the images.
        annotations: folder of the XML files; empty for classification.
        classes: class names; None if the folders define them, or nothing does.
        num_classes: number of classes of the model; None if unknown.
        extensions: extensions of the image files to look for in folders.
        with_label: whether samples have classes.
        follow_exif: whether loading rotates images by their EXIF orientation.
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
        """The split file or the folder that lists the samples."""
        return self.ann_file or self.images


def find_splits(cfg: Mapping[str, Any], parts: Iterable[str] = PARTS, *, strict: bool = True) -> list[Split]:
    """The splits that a config's dataloaders read, each once.

    Supported are mmpretrain's ``CustomDataset`` and ``ImageNet``, MMDetection's ``XMLDataset`` and
    ``VOCDataset``, this package's ``InMemoryDataset`` over image files, and wrappers around them. A
    dataset that uses a part of its split (``indices``, a fold) is listed as the whole split.

    Args:
        cfg: the config.
        parts: which of its dataloaders.
        strict: raise an error for other datasets instead of leaving them out.

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
                found.setdefault(split, []).append(part)
            elif strict:
                raise DataError(
                    f"{part}_dataloader reads a {type_name(dataset) or 'dataset without a type'}, which cannot be "
                    f"checked; expected image files read by one of {', '.join(_CLASSIFICATION + _VOC)}, without "
                    "backend_args (packed images are checked by prepare_data.py NAME --pack --check)"
                )
    if strict and not found:
        raise DataError("the config should have a dataset: train_dataloader=dict(dataset=...), or for val or test")
    return [replace(split, parts=tuple(dict.fromkeys(used))) for split, used in found.items()]


def inner_datasets(dataset: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The datasets inside wrappers that repeat, concatenate, balance or fold."""
    inner = dataset.get("datasets") or ([dataset["dataset"]] if dataset.get("dataset") else None)
    if inner is not None:
        for one in inner:
            yield from inner_datasets(one)
    elif dataset:
        yield dataset


def type_name(settings: Mapping[str, Any]) -> str:
    """The name of a config's ``type``, a string with or without scope or the class itself, without its scope."""
    given = settings.get("type", "")
    return given.rpartition(".")[2] if isinstance(given, str) else getattr(given, "__name__", "")


def _split(dataset: Mapping[str, Any], num_classes: int | None) -> Split | None:
    kind = type_name(dataset)
    root = str(dataset.get("data_root") or "")
    if "://" in root:
        raise DataError(f"data_root should be a local folder, got {root}")
    steps = [step for step in dataset.get("pipeline") or () if isinstance(step, Mapping)]
    if kind not in _VOC + _CLASSIFICATION or any(each.get("backend_args") for each in (dataset, *steps)):
        return None  # a backend may not open local files
    prefix: Any = dataset.get("data_prefix") or ""
    follow_exif = _follows_exif(dataset.get("pipeline") or ())
    if kind in _VOC:
        base = os.path.join(root, prefix["sub_data_root"]) if "sub_data_root" in prefix else ""
        return Split(
            parts=(),
            style="voc",
            data_root=root,
            ann_file=os.path.join(root, dataset.get("ann_file", "")),
            images=os.path.join(base, dataset.get("img_subdir", "JPEGImages")),
            annotations=os.path.join(base, dataset.get("ann_subdir", "Annotations")),
            classes=_classes(dataset) or (VOC_CLASSES if kind == "VOCDataset" else ()),
            follow_exif=follow_exif,
        )
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
        ann_file=os.path.join(root, ann_file) if ann_file else "",
        images=os.path.join(root, prefix),
        classes=_classes(dataset),
        num_classes=num_classes if with_label else None,
        extensions=tuple(extension.lower() for extension in dataset.get("extensions", _EXTENSIONS)),
        with_label=with_label,
        follow_exif=follow_exif,
    )


def _classes(dataset: Mapping[str, Any]) -> tuple[str, ...] | None:
    given = (dataset.get("metainfo") or {}).get("classes") or dataset.get("classes")
    if isinstance(given, str):
        try:
            with open(os.path.expanduser(given), encoding="utf-8") as file:
                return tuple(line.rstrip("\n\r") for line in file)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"classes should be names or a text file, got {given!r}, unreadable: {error}") from None
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


@dataclass
class Listing:
    """The samples of a split in order, what is wrong with the split file or folders, and the class folders."""

    split: Split
    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    folders: tuple[str, ...] = ()

    def add(self, kind: str, detail: str) -> None:
        """Add a finding about the split file or folder."""
        self.findings.append(Finding(kind, self.split.file, detail, self.split.parts))


def list_samples(split: Split) -> Listing:
    """List the samples of a split, from its split file or folders; no image and no annotation is read."""
    listing = Listing(split)
    try:
        if split.style == "folders":
            _walk_folders(listing)
        else:
            _read_lines(listing)
    except UnicodeDecodeError:
        listing.add("missing-split", "is no UTF-8 text")
    except (OSError, ValueError) as error:
        listing.add("missing-split", why_unreadable(error))
    if not listing.samples and not listing.findings:
        listing.add("empty-split", "names no image")
    seen: set[str] = set()
    for sample in listing.samples:
        if sample.name in seen:
            listing.add("repeated-name", f"names {sample.name!r} again")
        seen.add(sample.name)
    return listing


def _walk_folders(listing: Listing) -> None:
    split = listing.split
    # mmengine skips hidden files, but takes a hidden folder for a class.
    entries = sorted(entry.name for entry in os.scandir(split.images) if entry.is_dir())
    listing.folders = tuple(entries) if split.with_label else ()
    walked: set[str] = set()  # symbolic links can lead in a circle
    for top in entries if split.with_label else [""]:
        for folder, inner, files in os.walk(os.path.join(split.images, top), followlinks=True):
            place = os.path.realpath(folder)
            inner[:] = [] if place in walked else sorted(inner)
            walked.add(place)
            for name in sorted(files):
                path = os.path.join(folder, name)
                if name[0] != "." and name.lower().endswith(split.extensions):
                    listing.samples.append(Sample(os.path.relpath(path, split.images), path))


def _read_lines(listing: Listing) -> None:
    split = listing.split
    with open(split.ann_file, encoding="utf-8") as file:
        lines = [line.rstrip("\n\r") for line in file]
    for number, line in enumerate(lines, 1):
        name, wrong = (line, "") if split.style == "voc" or not split.with_label else _labelled(split, line)
        if not wrong and not name.strip():
            wrong = "is blank"
        elif not wrong and ("\0" in name or os.path.isabs(name) or os.path.normpath(name).startswith("..")):
            wrong = "leads out of the folder of images"
        if wrong:
            listing.add("bad-line", f"line {number}, {line[:80]!r}, {wrong}")
            continue
        image = os.path.join(split.images, f"{name}.jpg" if split.style == "voc" else name)
        annotation = os.path.join(split.annotations, f"{name}.xml") if split.style == "voc" else None
        listing.samples.append(Sample(name, image, annotation, line))


def _labelled(split: Split, line: str) -> tuple[str, str]:
    """A line's file name, and what is wrong with its label."""
    name, _, label = line.strip().rpartition(" ")
    try:
        number = int(label)
    except ValueError:
        return name, "does not end in a class number"
    limit = split.num_classes or (len(split.classes) if split.classes else None)
    if number < 0 or (limit is not None and number >= limit):
        return name, f"has a class number outside 0 to {limit - 1 if limit else '...'}"
    return name, ""


def compare_folders(listings: Sequence[Listing]) -> None:
    """Add class folders that do not fit: classes are numbered alphabetically, so a missing folder shifts labels."""
    with_folders = [listing for listing in listings if listing.folders]
    training = next((listing.folders for listing in with_folders if "train" in listing.split.parts), None)
    for listing in with_folders:
        known, limit, folders = listing.split.classes, listing.split.num_classes, listing.folders
        if known is not None and len(known) != len(folders):
            listing.add("class-folders", f"has {len(folders)} folders for the config's {len(known)} classes")
        elif limit is not None and len(folders) > limit:
            listing.add("class-folders", f"has {len(folders)} folders for the model's {limit} classes")
        elif training is not None and folders != training:
            lacks, more = sorted(set(training) - set(folders)), sorted(set(folders) - set(training))
            listing.add("class-folders", f"compared with the training, lacks {lacks} and also has {more}")
