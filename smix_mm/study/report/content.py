"""The text and tables of the report, in Markdown."""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence, TypeVar

from ...evaluation.average_precision import DEFINITIONS
from ...utils.text import markdown_table
from ..run import PRETRAINING
from ..statistics import EFFECT, LEVEL, MOST_SEEDS, POWER, Interval, nested_mean, unit_means
from .comparison import ArmSummary, Comparison, PairSummary, class_figures, metric_title, nested_figures
from .figures import FIGURES
from .results import Results

ACCURACY = "accuracy/top1"
Summary = TypeVar("Summary", ArmSummary, PairSummary)

# Mean average precision on the VOC 2007 test set of a Faster R-CNN with ResNet-50, by the augmentation of its ImageNet
# pretraining: object detection tables of Uddin et al., SaliencyMix, ICLR 2021 (mean of 3 runs), and of Yun et al.,
# CutMix, ICCV 2019 (with its own protocol: lr 0.01 and 120,000 iterations). Neither gives a deviation.
SALIENCYMIX_PAPER = {"baseline": 76.71, "Cutout": 77.17, "Mixup": 77.98, "CutMix": 78.31, "SaliencyMix": 78.48}
CUTMIX_PAPER = {"baseline": 75.6, "Cutout": 75.0, "Mixup": 73.9, "CutMix": 76.7}


def report_text(
    results: Results, comparison: Comparison, figures: Sequence[str], sheet: str | None, samples: int
) -> str:
    """The whole report, with the names of the files of figures and of the sheet of mixed images."""
    blocks = [f"# {results.name}", _plan(results), summary_text(results, comparison)]
    if figures:
        blocks += ["## Figures", "\n".join(f"![{FIGURES[name]}]({name})" for name in figures)]
    if sheet is not None:
        blocks += ["## How images were mixed", f"![mixed training images]({sheet})"]
    for detector in results.detectors:
        blocks += _details(results, comparison, detector)
    if results.detectors != (PRETRAINING,):
        blocks += [
            "## What the papers report",
            "With another protocol on other data, so not directly comparable: mAP on the VOC 2007 test set of a "
            "Faster R-CNN with ResNet-50. No deviation is given.",
            _published_table(),
        ]
    run = [] if results.config is None else [f"python tools/study.py run {results.config} --work-dir DIR"]
    commands = [*run, *(f"python tools/study.py {verb} --work-dir DIR" for verb in ("report", "verify"))]
    problems = [f"{name} has no result" for name in results.missing] + [*results.problems, *comparison.problems]
    blocks += [
        "## How to reproduce it",
        "\n".join(["```bash", *commands, "```"]),
        _items(results.software) or "Software: not recorded.",
        "## How to read this",
        _items(_reading(results, samples)),
        "## Problems",
        _items(problems) or "None.",
    ]
    return "\n\n".join(blocks)


def summary_text(results: Results, comparison: Comparison) -> str:
    """The number of differences shown, a table of the arms, and a sentence for each pair."""
    found = len(results.runs)
    blocks = [
        f"{metric_title(results.metric)} (`{results.metric}`), in %. {found} of {found + len(results.missing)} "
        f"results are used; a difference is shown in {count_shown(comparison)} of arms."
    ]
    for detector in results.detectors:
        blocks += [f"## {detector}", _arm_table(results, _of(comparison.arms, detector))]
        blocks += filter(None, [_items(map(verdict, _of(comparison.pairs, detector)))])
    return "\n\n".join(blocks)


def verdict(pair: PairSummary) -> str:
    """A sentence on what seeds and test images show about a pair of arms."""
    note = " (exploration)" if pair.planned is False else ""
    sentences = [f"**{pair.second} − {pair.first}**{note}: {_finding(pair)}"]
    if pair.given and pair.units > 1:
        sentences.append("This compares these backbones only, not the ways in which they were pretrained.")
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
    seeds, found = _count(pair.units, pair.unit), f"{signed(pair.difference)} points"
    if pair.seeds is None or pair.corrected is None:
        where = "in one seed, which has" if pair.units == 1 else f"in each of {seeds}, which have"
        return (
            f"{found} {where} no spread: no difference can be shown, and the number of seeds to show "
            f"{EFFECT:g} points is unknown."
        )
    kind = {None: "pair", True: "planned pair", False: "exploratory pair"}[pair.planned]
    numbers = (
        f"{found}, 95 % interval {interval(pair.seeds)}, p = {probability(pair.corrected)} after the correction for "
        f"{_count(pair.family, kind + 's')}"
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


def _count(count: int, unit: str) -> str:
    """Such as ``3 pretraining seeds``."""
    return f"{count} {unit if count != 1 else unit[:-1]}"


def number(value: float | None) -> str:
    """Two decimals, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """Two decimals with a sign, or a dash; zero has no sign."""
    text = number(value) if value is None else f"{value:+.2f}"
    return text[1:] if text in ("+0.00", "-0.00") else text


def interval(found: Interval | None, sign: bool = True) -> str:
    """Such as ``-0.40 to +1.20``, or a dash."""
    return "–" if found is None else " to ".join(map(signed if sign else number, found))


def probability(p: float | None) -> str:
    """Three decimals, or a dash."""
    return "–" if p is None else "under 0.001" if p < 0.001 else f"{p:.3f}"


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _table(columns: Mapping[str, Sequence[object]]) -> str:
    return markdown_table([*columns], zip(*columns.values()), "lr")


def _of(summaries: Sequence[Summary], detector: str) -> list[Summary]:
    return [summary for summary in summaries if summary.detector == detector]


def _plan(results: Results) -> str:
    """A sentence on what was compared."""
    pretraining = {run.pretraining_seed for run in results.runs} - {None}
    finetuning = {run.finetuning_seed for run in results.runs} - {None}
    parts = [f"Compared are {len(results.arms)} arms of pretraining ({', '.join(results.arms)})"]
    if pretraining:
        parts.append(f"with {_count(len(pretraining), 'pretraining seeds')}")
    if finetuning:
        parts.append(
            f"each backbone fine-tuned with {_count(len(finetuning), 'fine-tuning seeds')} "
            f"for detection ({', '.join(results.detectors)})"
        )
    return ", ".join(parts) + "."


def count_shown(comparison: Comparison) -> str:
    """In how many pairs a difference is shown, such as ``1 of 3 pairs``."""
    counts = []
    for planned, kind in {None: "", True: "planned ", False: "exploratory "}.items():
        pairs = [pair for pair in comparison.pairs if pair.planned is planned]
        if pairs:
            counts.append(f"{sum(map(is_shown, pairs))} of {len(pairs)} {kind}pairs")
    return " and ".join(counts) or "0 of 0 pairs"


def _arm_table(results: Results, arms: Sequence[ArmSummary]) -> str:
    runs = ["" if arm.runs == arm.units else f" ({arm.runs} runs)" for arm in arms]
    columns = {
        "arm": [arm.arm for arm in arms],
        "mean": [number(arm.mean) for arm in arms],
        "sd": [number(arm.deviation) for arm in arms],
        "n": [_count(arm.units, arm.unit) + more for arm, more in zip(arms, runs)],
        "95 % over seeds": [interval(arm.seeds, sign=False) for arm in arms],
        "95 % over test images": [
            "no detections" if arm.detections == 0 else interval(arm.images, sign=False) for arm in arms
        ],
        "pretraining top-1": [_accuracy(results, arm.arm) for arm in arms],
        "paper": [number(arm.paper) for arm in arms],
    }
    if results.detectors == (PRETRAINING,):
        del columns["pretraining top-1"], columns["95 % over test images"]
    if not results.paper:
        del columns["paper"]
    return _table(columns)


def _accuracy(results: Results, arm: str) -> str:
    runs = [run for run in results.runs if run.arm == arm and run.detector is None and ACCURACY in run.metrics]
    if not runs:
        return "–"
    nested = nested_figures(runs, ACCURACY)
    return f"{nested_mean(nested):.2f} (n = {len(unit_means(nested))})"


def _details(results: Results, comparison: Comparison, detector: str) -> list[str]:
    arms, pairs = _of(comparison.arms, detector), _of(comparison.pairs, detector)
    columns: dict[str, Sequence[object]] = {
        "pair": [f"{pair.second} − {pair.first}" for pair in pairs],
        "difference": [signed(pair.difference) for pair in pairs],
        "sd": [number(pair.deviation) for pair in pairs],
        "n": [pair.units for pair in pairs],
        "95 % t": [interval(pair.seeds) for pair in pairs],
        "95 % bootstrap": [interval(pair.bootstrap) for pair in pairs],
        "95 % over test images": [interval(pair.images) for pair in pairs],
        "p": [probability(pair.p) for pair in pairs],
        "p, Holm": [probability(pair.corrected) for pair in pairs],
        f"seeds for {EFFECT:g} points": ["–" if pair.needed is None else f"{pair.needed:,}" for pair in pairs],
    }
    blocks = [f"## {detector}: the numbers", "### Pairs", _table(columns)]
    names = [name for name in DEFINITIONS if all(name in arm.means for arm in arms)]
    if names and arms:
        definitions = {metric_title(name): [_mean(arm, name) for arm in arms] for name in names}
        blocks += ["### Every definition", _table({"arm": [arm.arm for arm in arms], **definitions})]
    classes = [class_figures(arm, results.metric) for arm in arms]
    if classes and classes[0]:
        means = {arm.arm: [_mean(arm, mine.get(label)) for label in classes[0]] for arm, mine in zip(arms, classes)}
        blocks += ["### Every class", _table({"class": [*classes[0]], **means})]
    return blocks


def _mean(arm: ArmSummary, name: str | None) -> str:
    if name is None:
        return "–"
    deviation = arm.deviations[name]
    return number(arm.means[name]) + ("" if deviation is None else f" ± {number(deviation)}")


def _published_table() -> str:
    """The figures of both papers, with the gains over their own baselines."""
    rows = []
    for name in SALIENCYMIX_PAPER:
        cells = [name]
        for table, digits in ((SALIENCYMIX_PAPER, 2), (CUTMIX_PAPER, 1)):
            value, reference = table.get(name), table["baseline"]
            gain = "" if value is None or name == "baseline" else f"{value - reference:+.{digits}f}"
            cells += ["–" if value is None else f"{value:.{digits}f}", gain]
        rows.append(cells)
    return markdown_table(["pretraining", "SaliencyMix paper, 3 runs", "gain", "CutMix paper", "gain"], rows, "lr")


def _reading(results: Results, samples: int) -> list[str]:
    return [
        "n is the number of independent units. If arms were pretrained with several seeds, the unit is the pretraining "
        "seed, and the fine-tunings of one backbone are averaged first, because they do not show the spread between "
        "pretrainings. With a given checkpoint or a single pretraining, the unit is the fine-tuning seed, and the "
        "comparison is one of these backbones. sd is the standard deviation of the units, with n - 1.",
        "A pair is compared over the seeds that both arms have. Its interval and p are those of the paired t test, "
        "which assumes normal differences; its interval may even exceed the range from 0 to 100. The bootstrap does "
        "not assume this (BCa over units, or, if fine-tunings are nested, percentiles with pretrainings drawn first "
        "and fine-tunings inside them), but is too narrow for few units; it is given for three or more.",
        f"The interval over test images is that of {samples:,} bootstrap samples of the test set, with the trained "
        "detectors fixed and the same samples for all of them (a pair: percentiles; an arm: basic). It shows what "
        "other test images of the same kind would have changed; the interval over seeds, what other seeds would have "
        "changed. Average precision on few images is biased upwards, and more so on bootstrap samples of them. The "
        "interval of an arm corrects for the latter only; in a difference most of the bias cancels.",
        "A difference is called shown if the interval over test images, where there is one, excludes 0, and p is "
        f"below {1 - LEVEL:.2f} after Holm's correction over all tested pairs of this report"
        + (", separately for the planned ones and the rest" if results.planned else "")
        + ". Intervals are not corrected.",
        f"The number of seeds is that with which a two-sided t test at {1 - LEVEL:.2f} shows the difference with a "
        f"probability of {100 * POWER:.0f} %, for a single pair with the sd found here; from few seeds this is a rough "
        "estimate.",
        "A class without objects in the test set has no figure and is not in the mean.",
    ]
