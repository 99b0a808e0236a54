"""Going through all that a config would read, before anything is trained on it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Collection, Iterable, Mapping, NamedTuple

from ...utils.errors import DataError
from ...utils.files import file_hash
from .findings import ERRORS, Finding, Problem, Report
from .images import Look, catch_complaints, check_image
from .listing import compare_folders, list_samples
from .parallel import in_parallel
from .splits import PARTS, Listing, Sample, Split, find_splits
from .voc import clean_annotation, read_annotation


class Task(NamedTuple):
    """One image and how it is to be looked at."""

    image: str
    annotation: str | None
    classes: tuple[str, ...]
    follow_exif: bool
    decode: bool
    keep: frozenset[str]


class Seen(NamedTuple):
    """What was found of one sample: all its problems, what is known of the image, and its usable boxes."""

    problems: list[Problem]
    look: Look
    boxes: int


@dataclass
class Checked:
    """A finished check.

    Attributes:
        report: what was found, for people and for JSON.
        splits: what the config reads.
        listings: the samples of each split.
        ignored: kinds that were said to be meant so.
        leaked: training images that are in another split too.
    """

    report: Report
    splits: list[Split]
    listings: list[Listing]
    ignored: frozenset[str]
    decode: bool = False
    seen: dict[Task, Seen] = field(default_factory=dict)
    leaked: set[str] = field(default_factory=set)

    def task(self, split: Split, sample: Sample) -> Task:
        classes = split.classes if sample.annotation and split.classes else ()
        return Task(sample.image, sample.annotation, classes, split.follow_exif, self.decode, self.ignored)


def check_data(
    cfg: Mapping[str, Any], *, jobs: int | None = None, decode: bool = False, ignore: Collection[str] = ()
) -> Checked:
    """Check every file that the train, val and test dataloaders of a config would read.

    What counts as an error and what as a remark is in :data:`~smix_mm.datasets.check.findings.KINDS`. Nothing is
    written. The datasets themselves are not built. Without ``decode`` only headers, the last bytes, and
    images of equal length (for the search for equal content) are read.

    Args:
        cfg: a classification config over image files, or a detection config over VOC-style annotations,
            see :func:`~smix_mm.datasets.check.splits.find_splits`.
        jobs: processes. Defaults to one a usable core.
        decode: decode every image too. This finds damage inside the data, and equal pixels in unequal files.
        ignore: kinds of error that are meant so; they become remarks.

    Raises:
        DataError: the config reads nothing that can be checked, or ``ignore`` names no kind of error.
    """
    unknown = sorted(set(ignore) - set(ERRORS))
    if unknown:
        raise DataError(f"{', '.join(unknown)} is no kind of error; wanted some of {', '.join(ERRORS)}")
    splits = find_splits(cfg)
    listings = [list_samples(split) for split in splits]
    compare_folders(splits, listings)
    checked = Checked(Report(ignored=frozenset(ignore)), splits, listings, frozenset(ignore), decode)
    tasks = list(dict.fromkeys(checked.task(*pair) for pair in _pairs(checked)))
    prepare = catch_complaints if decode else None
    checked.seen.update(zip(tasks, in_parallel(check_sample, tasks, jobs=jobs, label="images", prepare=prepare)))
    _report_samples(checked)
    _report_equal_images(checked, jobs)
    return checked


def check_sample(task: Task) -> Seen:
    """Check one image and its annotation."""
    look = check_image(task.image, decode=task.decode, follow_exif=task.follow_exif)
    if task.annotation is None:
        return Seen(look.problems, look, 0)
    content = read_annotation(task.annotation)
    if isinstance(content, Problem):
        return Seen([*look.problems, content], look, 0)
    annotation = clean_annotation(content, task.classes, size=look.size, turned=look.turned, keep=task.keep)
    return Seen([*look.problems, *annotation.problems], look, len(annotation.boxes))


def _pairs(checked: Checked) -> Iterable[tuple[Split, Sample]]:
    return ((split, sample) for split, listing in zip(checked.splits, checked.listings) for sample in listing.samples)


def _report_samples(checked: Checked) -> None:
    report = checked.report
    for split, listing in zip(checked.splits, checked.listings):
        report.findings += listing.findings
        for part in split.parts:
            report.images[part] = report.images.get(part, 0) + len(listing.samples)
        reported = set()
        for sample in listing.samples:
            seen = checked.seen[checked.task(split, sample)]
            if sample.annotation is not None:
                for part in split.parts:
                    report.boxes[part] = report.boxes.get(part, 0) + seen.boxes
            if sample in reported:
                continue
            reported.add(sample)
            for problem in seen.problems:
                file = sample.annotation if problem.in_annotation and sample.annotation else sample.image
                report.findings.append(Finding(problem.kind, file, problem.detail, split.parts))


def _report_equal_images(checked: Checked, jobs: int | None) -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    looks: dict[str, Look] = {}
    for split, sample in _pairs(checked):
        parts[sample.image].update(split.parts)
        looks[sample.image] = checked.seen[checked.task(split, sample)].look
    for paths in _equal(looks, jobs):
        training = sorted(path for path in paths if "train" in parts[path])
        evaluated = sorted(path for path in paths if parts[path] - {"train"})
        if training and evaluated:
            checked.leaked.update(training)
            where = evaluated[0]
            used = ", ".join(part for part in PARTS[1:] if part in parts[where])
            for path in training:
                detail = f"is in the {used} split too" if path == where else f"has the content of {where} ({used})"
                checked.report.findings.append(Finding("in-train-and-test", path, detail, ("train",)))
            continue
        for part in PARTS:
            first, *others = sorted(path for path in paths if part in parts[path]) or [""]
            for path in others:
                detail = f"has the content of {first}"
                checked.report.findings.append(Finding("duplicate-image", path, detail, (part,)))


def _equal(looks: Mapping[str, Look], jobs: int | None) -> list[list[str]]:
    """Images by content; those that are alone in having theirs come alone."""
    lengths: dict[int, list[str]] = defaultdict(list)
    for path, look in looks.items():
        if not look.digest:
            lengths[look.length].append(path)
    alike = [path for length, paths in lengths.items() if length and len(paths) > 1 for path in paths]
    hashes = dict(zip(alike, in_parallel(_hash, alike, jobs=jobs, label="content")))
    groups: dict[str, list[str]] = defaultdict(list)
    for path, look in looks.items():
        # What has neither hash is like nothing but itself.
        groups[look.digest or hashes.get(path) or f"path {path}"].append(path)
    return list(groups.values())


def _hash(path: str) -> str:
    try:
        return file_hash(path)
    except OSError:
        return ""
