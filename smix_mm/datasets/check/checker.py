"""Check every file that a config would read, before anything is trained on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable, Collection, Iterator, Mapping, NamedTuple, Sequence

from ...utils.errors import DataError
from ...utils.files import file_hash
from ...utils.progress import in_parallel
from .coco import read_objects
from .findings import ERRORS, Finding, Report, printable
from .images import ImageInfo, check_image
from .listing import Listing, compare_folders, list_samples
from .splits import PARTS, Sample, Split, find_splits
from .text import describe_unknown
from .voc import Annotation, is_doubtful


class SampleCheck(NamedTuple):
    """The properties of a sample's image, and its annotation without its root; None without an annotation."""

    image: ImageInfo
    annotation: Annotation | None

    @property
    def problems(self) -> list[Finding]:
        """What is wrong with both."""
        return self.image.problems + (self.annotation.problems if self.annotation else [])


@dataclass
class Checked:
    """A finished check.

    Attributes:
        report: what was found, as text and for JSON.
        listings: the splits of the config with their samples.
        samples: the result of each sample of each split.
        leaked: training images that are also in another split.
    """

    report: Report
    listings: list[Listing]
    samples: dict[tuple[Split, Sample], SampleCheck] = field(default_factory=dict)
    leaked: set[str] = field(default_factory=set)

    def annotations(self, listing: Listing) -> list[Annotation]:
        """The annotations of a split."""
        results = (self.samples[listing.split, sample].annotation for sample in listing.samples)
        return [annotation for annotation in results if annotation is not None]

    def fatal(self, split: Split, sample: Sample) -> list[Finding]:
        """The errors of a sample that leave it out."""
        problems = self.samples[split, sample].problems
        return [problem for problem in problems if self.report.is_error(problem.kind) and not problem.fixed]

    def require_samples(self) -> None:
        """Raise a DataError if a training or an evaluation would have no sample or no object left."""
        for listing in self.listings:
            name = f"nothing is left of {listing.split.file} ({', '.join(listing.split.parts)})"
            if not listing.samples:
                raise DataError(printable(f"{name}: {'; '.join(one.detail for one in listing.findings[:3])}"))
            annotations = self.annotations(listing)
            if why := _nothing_left(listing.split, annotations):
                raise DataError(printable(f"{name} with {len(annotations)} images: {why}"))
            fatal = [self.fatal(listing.split, sample) for sample in listing.samples]
            if all(fatal):
                first = fatal[0][0]
                why = f"every sample has an error, the first: {first.file} {first.detail}"
                raise DataError(printable(f"{name}: {why}"))


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
    parallel = partial(in_parallel, jobs=jobs, label="images")
    checked = check_listings(listings, parallel, decode=decode, ignored=frozenset(ignore))
    _report_equal_images(checked, jobs)
    return checked


def check_listings(
    listings: list[Listing],
    parallel: Callable[..., Iterator[SampleCheck]] = map,
    *,
    decode: bool | None = False,
    ignored: frozenset[str] = frozenset(),
) -> Checked:
    """Check the samples of some splits with ``map`` or :func:`in_parallel`.

    ``decode`` is None to read only images whose annotations state doubtful sizes; else see :func:`check_data`.
    """
    checked = Checked(Report(ignored=ignored), listings)
    report = checked.report
    pairs = list(dict.fromkeys((listing.split, sample) for listing in listings for sample in listing.samples))
    checked.samples.update(zip(pairs, parallel(partial(_check_sample, decode, ignored), pairs)))
    for listing in listings:
        split, annotations = listing.split, checked.annotations(listing)
        for part in split.parts:
            report.images[part] = report.images.get(part, 0) + len(listing.samples)
            if annotations:
                boxes = sum(len(annotation.boxes) for annotation in annotations)
                report.boxes[part] = report.boxes.get(part, 0) + boxes
        parsed = [annotation for annotation in annotations if annotation.parsed]
        reasons = _left_out(split, parsed)[1]
        if number := sum(count for count, _ in reasons):
            why = "; ".join(f"{count} {reason}" for count, reason in reasons if count)
            listing.add("filtered-out", f"{number} of {len(parsed)} images are left out of the training: {why}")
        report.findings += listing.findings
        for sample in dict.fromkeys(listing.samples):
            problems = checked.samples[split, sample].problems
            report.findings += [problem._replace(splits=split.parts) for problem in problems]
    return checked


def _check_sample(decode: bool | None, ignored: frozenset[str], pair: tuple[Split, Sample]) -> SampleCheck:
    split, sample = pair
    image = ImageInfo([])
    if decode is not None:
        image = check_image(sample.image, decode=decode, follow_exif=split.follow_exif)
    if sample.annotation is None:
        return SampleCheck(image, None)
    found = read_objects(sample, split.classes, size=image.size, rotated=image.rotated, ignore=ignored)
    if decode is None and found.parsed:
        outside = any(problem.kind == "box-outside" for problem in found.problems)
        if outside or is_doubtful(found.size, (), split.filter.get("min_size") or 0):
            size = check_image(sample.image, follow_exif=split.follow_exif).size
            found = read_objects(sample, split.classes, size=size)
    # To be returned by a process; and the entries of a whole COCO file need much memory.
    return SampleCheck(image, replace(found, root=None, classes=None))


def _left_out(split: Split, annotations: Sequence[Annotation]) -> tuple[list[Annotation], list[tuple[int, str]]]:
    """What MMDetection's ``filter_cfg`` keeps, and numbers of images and reasons for the others."""
    minimum = split.filter.get("min_size") or 0
    large = [one for one in annotations if one.size is None or min(one.size) >= minimum]
    kept = [one for one in large if one.boxes or not split.filter.get("filter_empty_gt")]
    return kept, [
        (len(annotations) - len(large), f"smaller than min_size={minimum}"),
        (len(large) - len(kept), "without an object of the config's classes (filter_empty_gt)"),
    ]


def _nothing_left(split: Split, annotations: Sequence[Annotation]) -> str:
    """Why annotations have nothing to train on or to evaluate, or an empty string if they have."""
    if not annotations or not all(annotation.parsed for annotation in annotations):
        return ""
    kept, reasons = _left_out(split, annotations)
    smallest = split.filter.get("bbox_min_size") or 0
    pairs = [(box, hard) for one in kept for box, hard in zip(one.boxes, one.difficult)]
    sides = [min(x2 - x1, y2 - y1) for (x1, y1, x2, y2), hard in pairs if not hard]
    if any(side >= smallest for side in sides):
        return ""
    unknown = Counter(name for one in annotations for name in one.unknown)
    difficult = sum(sum(one.difficult) for one in annotations)
    if "train" not in split.parts and not unknown and not difficult:
        return ""  # images without annotations may be tested for their predictions
    shown = describe_unknown(unknown, split.classes or ())
    reasons = [
        (sum(unknown.values()), f"of its objects are of classes that the config does not name ({shown})"),
        *reasons,
        (difficult, "objects are difficult"),
        (len(sides), f"boxes are smaller than bbox_min_size={smallest}"),
    ]
    return "; ".join(f"{number} {why}" for number, why in reasons if number) or "no annotation has a usable box"


def _report_equal_images(checked: Checked, jobs: int | None) -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    images: dict[str, ImageInfo] = {}
    for (split, sample), result in checked.samples.items():
        parts[sample.image].update(split.parts)
        images[sample.image] = result.image
    # Only files of equal length are read, unless all were decoded.
    lengths = Counter(image.length for image in images.values())
    alike = [path for path, image in images.items() if not image.digest and image.length and lengths[image.length] > 1]
    hashes = dict(zip(alike, in_parallel(_hash, alike, jobs=jobs, label="content")))
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted(images):
        # An image without any hash equals only itself.
        groups[images[path].digest or hashes.get(path) or f"path {path}"].append(path)
    for paths in groups.values():
        training = [path for path in paths if "train" in parts[path]]
        evaluated = [path for path in paths if parts[path] - {"train"}]
        if training and evaluated:
            checked.leaked.update(training)
            where = evaluated[0]
            used = ", ".join(part for part in PARTS[1:] if part in parts[where])
            for path in training:
                detail = f"is also in the {used} split" if path == where else f"has the content of {where} ({used})"
                checked.report.findings.append(Finding("in-train-and-test", path, detail, ("train",)))
            continue
        for part in PARTS:
            first, *others = [path for path in paths if part in parts[path]] or [""]
            for path in others:
                detail = f"has the content of {first}"
                checked.report.findings.append(Finding("duplicate-image", path, detail, (part,)))


def _hash(path: str) -> str:
    try:
        return file_hash(path)
    except OSError:
        return ""
