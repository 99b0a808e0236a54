"""What a detection set has left to train on or to evaluate, and the reasons for what is left out."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, Sequence

from .findings import printable
from .listing import Listing
from .splits import Split
from .text import describe_unknown


class Tally(NamedTuple):
    """What counts of one annotation: (width, height) of the image or None, the shorter side in pixels of each usable
    box that is not difficult, the number of difficult ones, and the class names that the config does not have.
    """

    size: tuple[int, int] | None
    sides: tuple[float, ...]
    difficult: int
    unknown: tuple[str, ...]


def describe_left_out(split: Split, tallies: Sequence[Tally]) -> str:
    """How many images ``filter_cfg`` leaves out of the training and why, or an empty string."""
    reasons = _left_out(split, tallies)[1]
    count = sum(number for number, _ in reasons)
    listed = "; ".join(f"{number} {why}" for number, why in reasons)
    return f"{count} of {len(tallies)} images are left out of the training: {listed}" if count else ""


def nothing_left(listing: Listing, tallies: Sequence[Tally | None]) -> str:
    """Why nothing is left to train on or to evaluate, in one sentence, or an empty string if something is left.

    Args:
        listing: a split with its samples.
        tallies: what its annotations have; empty for classification, None for one that cannot be read.
    """
    split = listing.split
    name = f"{split.file} ({', '.join(split.parts)})"
    if not listing.samples:
        return printable(f"nothing is left of {name}: {'; '.join(one.detail for one in listing.findings[:3])}")
    known = [tally for tally in tallies if tally is not None]
    if len(known) < len(tallies) or not known:
        return ""
    kept, reasons = _left_out(split, known)
    smallest = split.filter.get("bbox_min_size") or 0
    sides = [side for tally in kept for side in tally.sides]
    if any(side >= smallest for side in sides):
        return ""
    unknown = Counter(name for tally in known for name in tally.unknown)
    difficult = sum(tally.difficult for tally in known)
    if "train" not in split.parts and not unknown and not difficult:
        return ""  # images without annotations may be tested for their predictions
    if total := sum(unknown.values()):
        shown = describe_unknown(unknown, split.classes or ())
        reasons.insert(0, (total, f"of its objects are of classes that the config does not name ({shown})"))
    reasons += [(difficult, "objects are difficult"), (len(sides), f"boxes are smaller than bbox_min_size={smallest}")]
    listed = "; ".join(f"{number} {why}" for number, why in reasons if number) or "no annotation has a usable box"
    return printable(f"nothing is left of {name} with {len(known)} images: {listed}")


def _left_out(split: Split, tallies: Sequence[Tally]) -> tuple[list[Tally], list[tuple[int, str]]]:
    """What MMDetection's ``filter_cfg`` keeps, and numbers of images and reasons for the others."""
    minimum = split.filter.get("min_size") or 0
    large = [tally for tally in tallies if tally.size is None or min(tally.size) >= minimum]
    kept = [one for one in large if one.sides or one.difficult or not split.filter.get("filter_empty_gt")]
    reasons = [
        (len(tallies) - len(large), f"smaller than min_size={minimum}"),
        (len(large) - len(kept), "without an object of the config's classes (filter_empty_gt)"),
    ]
    return kept, [(number, why) for number, why in reasons if number]
