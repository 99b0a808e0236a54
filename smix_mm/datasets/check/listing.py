"""The samples of a split, and what is wrong with its split file or its folders."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Sequence

from .coco import CocoFile, CocoFormatError, read_coco
from .findings import Finding, why_unreadable
from .images import has_image_suffix
from .splits import Sample, Split
from .text import EncodingError, read_lines


@dataclass
class Listing:
    """The samples of a split in order, what is wrong with the split file or folders, and the class folders or JSON."""

    split: Split
    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    folders: tuple[str, ...] = ()
    coco: CocoFile | None = None

    def labels(self) -> list[int]:
        """The class number of each sample, by its folder."""
        numbers = {name: number for number, name in enumerate(self.folders)}
        return [numbers[sample.name.partition(os.sep)[0]] for sample in self.samples]

    def add(self, kind: str, detail: str) -> None:
        """Add a finding about the split file or folder."""
        self.findings.append(Finding(kind, self.split.file, detail, self.split.parts))


def list_samples(split: Split) -> Listing:
    """List the samples of a split, from its split file or folders; no image and no annotation is read."""
    listing = Listing(split)
    try:
        if split.style == "folders":
            _walk_folders(listing)
        elif split.style == "coco":
            _read_coco(listing)
        else:
            _read_samples(listing)
    except EncodingError as error:
        listing.add("wrong-encoding", str(error))
    except CocoFormatError as error:
        listing.add("malformed-json", str(error))
    except (OSError, ValueError) as error:
        listing.add("missing-split", why_unreadable(error))
    harmless = ("unread-image", "empty-class", "class-folders", "category-order", "byte-order-mark")
    if not listing.samples and all(one.kind in harmless for one in listing.findings):
        listing.add("empty-split", _why_empty(listing))
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
        before, unread = len(listing.samples), defaultdict[str, list[str]](list)
        for folder, inner, files in os.walk(os.path.join(split.images, top), followlinks=True):
            place = os.path.realpath(folder)
            inner[:] = [] if place in walked else sorted(inner)
            walked.add(place)
            for name in sorted(files):
                path = os.path.join(folder, name)
                if name[0] != "." and name.lower().endswith(split.extensions):
                    listing.samples.append(Sample(os.path.relpath(path, split.images), path))
                elif name[0] != ".":
                    unread[os.path.splitext(name)[1].lower()].append(path)
        listing.samples[before:] = sorted(listing.samples[before:], key=lambda sample: sample.name)
        of_class = os.path.join(split.images, top) if top else split.images
        for suffix, paths in sorted(unread.items()):
            if detail := _describe_unread(split, suffix, len(paths), paths[0]):
                listing.findings.append(Finding("unread-image", of_class, detail, split.parts))
        if top and top[0] != "." and len(listing.samples) == before:
            kind, detail = "empty-class", "holds no image that is read"
            if split.in_memory:  # the dataset refuses it
                kind, detail = "class-folders", f"{detail}; add images, or delete the class's folder in every split"
            listing.findings.append(Finding(kind, of_class, detail, split.parts))


def _describe_unread(split: Split, suffix: str, number: int, example: str) -> str:
    """What to do about files of an extension that a dataset does not read; empty if they are no images."""
    import cv2

    readable = cv2.haveImageReader(example)
    if not readable and not has_image_suffix(example):
        return ""
    advice = "convert them to PNG" if readable else "OpenCV does not read them either: convert them to PNG"
    if readable and not split.in_memory:
        advice = f"add {suffix!r} to the dataset's extensions" if suffix else "give them their extension"
    files = f"{number} {suffix or 'extensionless'} file{'' if number == 1 else 's'}"
    return f"holds {files} that the dataset skips; {advice}"


def _why_empty(listing: Listing) -> str:
    split = listing.split
    if split.ann_file:
        return "names no image"
    if listing.folders:
        skipped = "; ".join(f"{os.path.basename(one.file)} {one.detail}" for one in listing.findings[:3])
        return f"has no image in its {len(listing.folders)} class folders: {skipped}"
    inside = sum(has_image_suffix(name) for name in os.listdir(split.images))
    direct = f", and {inside} images outside of any; data_prefix may be one folder too deep" if inside else ""
    return f"names no image: it has no class folder{direct}" if split.with_label else "names no image"


def _read_samples(listing: Listing) -> None:
    split = listing.split
    for number, line in enumerate(read_lines(split.ann_file), 1):
        name, wrong = line, ""
        if split.style == "list" and split.with_label:
            name, _, label = line.rpartition(" ")
            wrong = _wrong_label(split, label)
        if not wrong and not name:
            wrong = "is blank"
        elif not wrong and ("\0" in name or os.path.isabs(name) or os.path.normpath(name).startswith("..")):
            wrong = "leads out of the folder of images"
        if wrong:
            listing.add("bad-line", f"line {number}, {line[:80]!r}, {wrong}")
            continue
        image = os.path.join(split.images, f"{name}.jpg" if split.style == "voc" else name)
        annotation = os.path.join(split.annotations, f"{name}.xml") if split.style == "voc" else None
        listing.samples.append(Sample(name, image, annotation, line))


def _wrong_label(split: Split, label: str) -> str:
    try:
        number = int(label)
    except ValueError:
        return "does not end in a class number"
    limit = split.num_classes or (len(split.classes) if split.classes else None)
    if number < 0 or (limit is not None and number >= limit):
        return f"has a class number outside 0 to {limit - 1 if limit else '...'}"
    return ""


def _read_coco(listing: Listing) -> None:
    split = listing.split
    listing.coco = read_coco(split.ann_file, split.classes)
    for kind, detail in listing.coco.problems:
        listing.add(kind, detail)
    for record in listing.coco.records:
        name = record.image["file_name"]
        listing.samples.append(Sample(name, os.path.join(split.images, name), split.ann_file, record=record))


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
