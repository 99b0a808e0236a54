"""The samples of a split, by its split file or its folders."""

from __future__ import annotations

import os
from typing import Sequence

from .findings import Finding
from .splits import Listing, Sample, Split


def list_samples(split: Split) -> Listing:
    """Every sample that a split names, and what is wrong with the list itself.

    Only split files and folders are read, no image and no annotation.
    """
    listing = Listing()
    if split.style == "folders":
        _walk_folders(split, listing)
    else:
        _read_lines(split, listing)
    if not listing.samples and not listing.findings:
        _add(split, listing, "empty-split", "names no image")
    seen: set[str] = set()
    for sample in listing.samples:
        if sample.name in seen:
            _add(split, listing, "repeated-name", f"names {sample.name!r} again")
        seen.add(sample.name)
    return listing


def compare_folders(splits: Sequence[Split], listings: Sequence[Listing]) -> None:
    """Add what is wrong with class folders: they are numbered by the alphabet, so one missing moves all labels."""
    folders = [(split, listing) for split, listing in zip(splits, listings) if listing.folders]
    training = next((listing.folders for split, listing in folders if "train" in split.parts), None)
    for split, listing in folders:
        known, limit = split.classes, split.num_classes
        if known is not None and len(known) != len(listing.folders):
            detail = f"has {len(listing.folders)} folders for the config's {len(known)} classes"
            _add(split, listing, "class-folders", detail)
        elif limit is not None and len(listing.folders) > limit:
            _add(split, listing, "class-folders", f"has {len(listing.folders)} folders for the model's {limit} classes")
        elif training is not None and listing.folders != training:
            lacks = sorted(set(training) - set(listing.folders))
            more = sorted(set(listing.folders) - set(training))
            _add(split, listing, "class-folders", f"against the training, it lacks {lacks} and has besides {more}")


def _walk_folders(split: Split, listing: Listing) -> None:
    try:
        # mmengine passes over hidden files, yet takes a hidden folder for a class.
        entries = sorted(entry.name for entry in os.scandir(split.images) if entry.is_dir())
    except (OSError, ValueError) as error:
        _add(split, listing, "missing-split", _why(error))
        return
    listing.folders = tuple(entries) if split.with_label else ()
    walked: set[str] = set()  # links can lead in a circle
    for top in entries if split.with_label else [""]:
        for folder, inner, files in os.walk(os.path.join(split.images, top), followlinks=True):
            place = os.path.realpath(folder)
            inner[:] = [] if place in walked else sorted(inner)
            walked.add(place)
            for name in sorted(files):
                path = os.path.join(folder, name)
                if name[0] != "." and name.lower().endswith(split.extensions):
                    listing.samples.append(Sample(os.path.relpath(path, split.images), path))


def _read_lines(split: Split, listing: Listing) -> None:
    try:
        with open(split.ann_file, encoding="utf-8") as file:
            lines = [line.rstrip("\n\r") for line in file]
    except UnicodeDecodeError:
        _add(split, listing, "missing-split", "is no UTF-8 text")
        return
    except (OSError, ValueError) as error:
        _add(split, listing, "missing-split", _why(error))
        return
    for number, line in enumerate(lines, 1):
        name, wrong = (line, "") if split.style == "voc" else _labelled(split, line)
        if not wrong and _leaves(name):
            wrong = "leads out of the folder of images" if name else "is blank"
        if wrong:
            _add(split, listing, "bad-line", f"line {number}, {line[:80]!r}, {wrong}")
        elif split.style == "voc":
            image = os.path.join(split.images, f"{name}.jpg")
            annotation = os.path.join(split.annotations, f"{name}.xml")
            listing.samples.append(Sample(name, image, annotation, line))
        else:
            listing.samples.append(Sample(name, os.path.join(split.images, name), None, line))


def _labelled(split: Split, line: str) -> tuple[str, str]:
    """A line's file name, and what is wrong with its label."""
    if not split.with_label:
        return line, ""
    name, _, label = line.strip().rpartition(" ")
    try:
        number = int(label)
    except ValueError:
        return name, "does not end in a class number"
    limit = split.num_classes or (len(split.classes) if split.classes else None)
    if number < 0 or (limit is not None and number >= limit):
        return name, f"has a class number that is not in 0 to {limit - 1 if limit else '...'}"
    return name, ""


def _leaves(name: str) -> bool:
    return not name.strip() or "\0" in name or os.path.isabs(name) or os.path.normpath(name).startswith("..")


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _add(split: Split, listing: Listing, kind: str, detail: str) -> None:
    listing.findings.append(Finding(kind, split.file, detail, split.parts))
