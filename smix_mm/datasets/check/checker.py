"""Check every file that a config would read, before anything is trained on it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Collection, Iterator, Mapping, NamedTuple

from ...utils.errors import DataError
from ...utils.files import file_hash
from ...utils.progress import in_parallel
from .findings import ERRORS, Finding, Problem, Report, printable
from .images import ImageInfo, capture_decoder_warnings, check_image
from .left import Tally, describe_left_out, nothing_left
from .listing import Listing, compare_folders, list_samples
from .objects import read_objects
from .splits import PARTS, Sample, Split, find_splits


class Task(NamedTuple):
    """One image, its annotation, and how to check them."""

    sample: Sample
    classes: tuple[str, ...]
    follow_exif: bool
    decode: bool
    ignored: frozenset[str]


class SampleCheck(NamedTuple):
    """The problems of a sample, the properties of its image, and the usable boxes and the tally of its annotation."""

    problems: list[Problem]
    image: ImageInfo
    boxes: int = 0
    tally: Tally | None = None


@dataclass
class Checked:
    """A finished check.

    Attributes:
        report: what was found, as text and for JSON.
        listings: the splits of the config with their samples.
        decode: whether images were decoded.
        samples: the result of each sample, see :meth:`of`.
        leaked: training images that are also in another split.
    """

    report: Report
    listings: list[Listing]
    decode: bool = False
    samples: dict[Task, SampleCheck] = field(default_factory=dict)
    leaked: set[str] = field(default_factory=set)

    def pairs(self) -> Iterator[tuple[Split, Sample]]:
        """All samples with their split."""
        return ((listing.split, sample) for listing in self.listings for sample in listing.samples)

    def task(self, split: Split, sample: Sample) -> Task:
        """How a sample is checked; the same in two splits if both read it in the same way."""
        classes = split.classes if sample.annotation and split.classes else ()
        # The image's name in a split file makes no difference.
        same = replace(sample, name="", line="")
        return Task(same, classes, split.follow_exif, self.decode, self.report.ignored)

    def of(self, split: Split, sample: Sample) -> SampleCheck:
        """The result of a sample."""
        return self.samples[self.task(split, sample)]

    def require_samples(self) -> None:
        """Raise a DataError if a training or an evaluation would have no sample or no object left."""
        for listing in self.listings:
            split, samples = listing.split, listing.samples
            if why := nothing_left(listing, [self.of(split, one).tally for one in samples if one.annotation]):
                raise DataError(why)
            fatal = [self.fatal(split, sample) for sample in samples]
            if fatal and all(fatal):
                problem, file = fatal[0][0], samples[0].annotation if fatal[0][0].in_annotation else samples[0].image
                name = f"{split.file} ({', '.join(split.parts)})"
                why = f"nothing is left of {name}: every sample has an error, the first: {file} {problem.detail}"
                raise DataError(printable(why))

    def fatal(self, split: Split, sample: Sample) -> list[Problem]:
        """The errors of a sample that leave it out."""
        problems = self.of(split, sample).problems
        return [problem for problem in problems if self.report.is_error(problem.kind) and not problem.fixed]


def check_data(
    cfg: Mapping[str, Any], *, jobs: int | None = None, decode: bool = False, ignore: Collection[str] = ()
) -> Checked:
    """Check every file that the train, val and test dataloaders of a config would read.

    :data:`~smix_mm.datasets.check.findings.KINDS` lists what counts as an error and what as a remark. Nothing is
    written, and the datasets are not built. Without ``decode``, only headers, the last bytes, and images of equal
    length (to find equal content) are read.

    Args:
        cfg: a classification config over image files, or a detection config over VOC-style annotations
            or COCO files, see :func:`~smix_mm.datasets.check.splits.find_splits`.
        jobs: number of processes. Defaults to one per usable core.
        decode: decode every image too. This finds damage inside the data, and equal pixels in different files.
        ignore: kinds of error that are intended; they become remarks.

    Raises:
        DataError: the config reads nothing that can be checked, or ``ignore`` has a kind that does not exist.
    """
    if unknown := sorted(set(ignore) - set(ERRORS)):
        raise DataError(f"ignore should be kinds of errors ({', '.join(ERRORS)}), got {', '.join(unknown)}")
    listings = [list_samples(split) for split in find_splits(cfg)]
    compare_folders(listings)
    checked = Checked(Report(ignored=frozenset(ignore)), listings, decode)
    tasks = list(dict.fromkeys(checked.task(split, sample) for split, sample in checked.pairs()))
    initializer = capture_decoder_warnings if decode else None
    results = in_parallel(_check_sample, tasks, jobs=jobs, label="images", initializer=initializer)
    checked.samples.update(zip(tasks, results))
    _report_samples(checked)
    _report_equal_images(checked, jobs)
    return checked


def _check_sample(task: Task) -> SampleCheck:
    image = check_image(task.sample.image, decode=task.decode, follow_exif=task.follow_exif)
    if task.sample.annotation is None:
        return SampleCheck(image.problems, image)
    found = read_objects(task.sample, task.classes, size=image.size, rotated=image.rotated, ignore=task.ignored)
    return SampleCheck([*image.problems, *found.problems], image, len(found.boxes), found.tally)


def _report_samples(checked: Checked) -> None:
    report = checked.report
    for listing in checked.listings:
        split = listing.split
        results = [checked.of(split, sample) for sample in listing.samples]
        for part in split.parts:
            report.images[part] = report.images.get(part, 0) + len(results)
            if any(sample.annotation for sample in listing.samples):
                report.boxes[part] = report.boxes.get(part, 0) + sum(result.boxes for result in results)
        if left_out := describe_left_out(split, [one.tally for one in results if one.tally is not None]):
            listing.add("filtered-out", left_out)
        report.findings += listing.findings
        for sample, result in dict(zip(listing.samples, results)).items():
            for problem in result.problems:
                file = sample.annotation if problem.in_annotation and sample.annotation else sample.image
                report.findings.append(Finding(problem.kind, file, problem.detail, split.parts))


def _report_equal_images(checked: Checked, jobs: int | None) -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    images: dict[str, ImageInfo] = {}
    for split, sample in checked.pairs():
        parts[sample.image].update(split.parts)
        images[sample.image] = checked.of(split, sample).image
    for paths in _group_by_content(images, jobs):
        training = sorted(path for path in paths if "train" in parts[path])
        evaluated = sorted(path for path in paths if parts[path] - {"train"})
        if training and evaluated:
            checked.leaked.update(training)
            where = evaluated[0]
            used = ", ".join(part for part in PARTS[1:] if part in parts[where])
            for path in training:
                detail = f"is also in the {used} split" if path == where else f"has the content of {where} ({used})"
                checked.report.findings.append(Finding("in-train-and-test", path, detail, ("train",)))
            continue
        for part in PARTS:
            first, *others = sorted(path for path in paths if part in parts[path]) or [""]
            for path in others:
                detail = f"has the content of {first}"
                checked.report.findings.append(Finding("duplicate-image", path, detail, (part,)))


def _group_by_content(images: Mapping[str, ImageInfo], jobs: int | None) -> list[list[str]]:
    """Paths of equal images together; only files of equal length are read, unless all were decoded."""
    lengths: dict[int, list[str]] = defaultdict(list)
    for path, image in images.items():
        if not image.digest:
            lengths[image.length].append(path)
    alike = [path for length, paths in lengths.items() if length and len(paths) > 1 for path in paths]
    hashes = dict(zip(alike, in_parallel(_hash, alike, jobs=jobs, label="content")))
    groups: dict[str, list[str]] = defaultdict(list)
    for path, image in images.items():
        # An image without any hash equals only itself.
        groups[image.digest or hashes.get(path) or f"path {path}"].append(path)
    return list(groups.values())


def _hash(path: str) -> str:
    try:
        return file_hash(path)
    except OSError:
        return ""
