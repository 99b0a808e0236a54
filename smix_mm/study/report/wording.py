"""Verdicts on pairs of arms in words, and numbers as text."""

from __future__ import annotations

from ...evaluation.average_precision import DEFINITIONS
from ..statistics import EFFECT, LEVEL, MOST_SEEDS, Interval
from .comparison import PairSummary

ONE_BACKBONE = "This compares these backbones only, not the ways in which they were pretrained."


def verdict(pair: PairSummary) -> str:
    """A sentence on what seeds and test images show about a pair of arms."""
    note = " (exploration)" if pair.planned is False else ""
    sentences = [f"**{pair.second} − {pair.first}**{note}: {_finding(pair)}"]
    if pair.given and pair.units > 1:
        sentences.append(ONE_BACKBONE)
    if pair.left_out:
        sentences.append(f"Left out, because the other arm has no such seed: {', '.join(pair.left_out)}.")
    return " ".join(sentences)


def is_shown(pair: PairSummary) -> bool:
    """Whether p, after the correction, is below 0.05 and the interval over test images, if any, excludes 0."""
    by_images = pair.images is None or not _contains_zero(pair.images)
    return pair.corrected is not None and pair.corrected < 1 - LEVEL and by_images


def _finding(pair: PairSummary) -> str:
    if pair.difference is None:
        return "the arms have no seed in common, so they cannot be compared."
    cannot = f"no difference can be shown, and the number of seeds to show {EFFECT:g} points is unknown."
    if pair.units == 1:
        return f"{signed(pair.difference)} points in one seed, which has no spread: {cannot}"
    seeds = count_units(pair.units, pair.unit)
    if pair.seeds is None or pair.corrected is None:
        return f"{signed(pair.difference)} points in each of {seeds}, which have no spread: {cannot}"
    kind = {None: "pair", True: "planned pair", False: "exploratory pair"}[pair.planned]
    family = f"{pair.family} {kind if pair.family == 1 else kind + 's'}"
    numbers = (
        f"{signed(pair.difference)} points, 95 % interval {interval(pair.seeds)}, "
        f"p = {probability(pair.corrected)} after the correction for {family}"
    )
    if is_shown(pair):
        direction = "higher" if pair.difference > 0 else "lower"
        beyond = "; other test images are not considered" if pair.images is None else ""
        return f"{pair.second} is {direction} over {seeds} ({numbers}{beyond})."
    if pair.corrected < 1 - LEVEL and pair.images is not None:
        return (
            f"no difference can be shown: over {seeds} there is one ({numbers}), but it may come from these test "
            f"images, because the interval over them, {interval(pair.images)}, contains 0."
        )
    alone = "" if _contains_zero(pair.seeds) else ", although the uncorrected interval excludes 0"
    needed = f"more than {MOST_SEEDS:,}" if pair.needed is None else f"about {pair.needed:,}"
    return (
        f"no difference can be shown with {seeds} ({numbers}{alone}); "
        f"showing {EFFECT:g} points would need {needed} seeds."
    )


def _contains_zero(found: Interval) -> bool:
    return found[0] <= 0 <= found[1]


def metric_title(metric: str) -> str:
    """Such as ``AP50, VOC 11-point``."""
    return DEFINITIONS[metric].title if metric in DEFINITIONS else metric.rpartition("/")[2]


def count_units(count: int, unit: str) -> str:
    """Such as ``3 pretraining seeds``."""
    return f"{count} {unit if count != 1 else unit[:-1]}"


def number(value: float | None) -> str:
    """Two decimals, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """Two decimals with a sign, or a dash; zero has no sign."""
    if value is None:
        return "–"
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text


def interval(found: Interval | None, sign: bool = True) -> str:
    """Such as ``-0.40 to +1.20``, or a dash."""
    if found is None:
        return "–"
    write = signed if sign else number
    return f"{write(found[0])} to {write(found[1])}"


def probability(p: float | None) -> str:
    """Three decimals, or a dash."""
    if p is None:
        return "–"
    return "under 0.001" if p < 0.001 else f"{p:.3f}"
