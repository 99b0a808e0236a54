"""The text and tables of the report, in order."""

from __future__ import annotations

from typing import Sequence, TypeVar

from ...evaluation.average_precision import DEFINITIONS
from ..run import PRETRAINING
from ..statistics import EFFECT, LEVEL, POWER, nested_mean, unit_means
from .comparison import ArmSummary, Comparison, PairSummary, class_figures, nested_figures
from .figures import FIGURES
from .page import Block, Code, Heading, Images, Items, Paragraph, Table
from .results import Results
from .wording import count_units, interval, is_shown, metric_title, number, probability, signed, verdict

ACCURACY = "accuracy/top1"
Summary = TypeVar("Summary", ArmSummary, PairSummary)

# Mean average precision on the VOC 2007 test set of a Faster R-CNN with ResNet-50, by the augmentation of its ImageNet
# pretraining: object detection tables of Uddin et al., SaliencyMix, ICLR 2021 (mean of 3 runs), and of Yun et al.,
# CutMix, ICCV 2019 (with its own protocol). Neither gives a deviation.
SALIENCYMIX_PAPER = {"baseline": 76.71, "Cutout": 77.17, "Mixup": 77.98, "CutMix": 78.31, "SaliencyMix": 78.48}
CUTMIX_PAPER = {"baseline": 75.6, "Cutout": 75.0, "Mixup": 73.9, "CutMix": 76.7}


def report_blocks(
    results: Results, comparison: Comparison, figures: Sequence[str], sheet: str | None, samples: int
) -> list[Block]:
    """The whole report, with the names of the files of figures and of the sheet of mixed images."""
    blocks: list[Block] = [Heading(1, results.name), Paragraph(_plan(results)), *summary_blocks(results, comparison)]
    if figures:
        blocks += [Heading(2, "Figures"), Images(figures, [FIGURES[name] for name in figures])]
    if sheet is not None:
        blocks += [Heading(2, "How images were mixed"), Images([sheet], ["mixed training images"], chart=False)]
    for detector in results.detectors:
        blocks += _details(results, comparison, detector)
    if results.detectors != (PRETRAINING,):
        papers = (
            "With another protocol on other data, so not directly comparable: mAP on the VOC 2007 test set of a "
            "Faster R-CNN with ResNet-50. No deviation is given."
        )
        blocks += [Heading(2, "What the papers report"), Paragraph(papers), _published_table()]
    commands = [f"python tools/study.py {verb} --work-dir DIR" for verb in ("report", "verify")]
    if results.config is not None:
        commands.insert(0, f"python tools/study.py run {results.config} --work-dir DIR")
    problems = [f"{name} has no result" for name in results.missing] + [*results.problems, *comparison.problems]
    return [
        *blocks,
        Heading(2, "How to reproduce it"),
        Code(commands),
        Items(results.software) if results.software else Paragraph("Software: not recorded."),
        Heading(2, "How to read this"),
        Items(_reading(results, samples)),
        Heading(2, "Problems"),
        Items(problems) if problems else Paragraph("None."),
    ]


def summary_blocks(results: Results, comparison: Comparison) -> list[Block]:
    """The number of differences shown, a table of the arms, and a sentence for each pair."""
    found = len(results.runs)
    blocks: list[Block] = [
        Paragraph(
            f"{metric_title(results.metric)} (`{results.metric}`), in %. {found} of {found + len(results.missing)} "
            f"results are used; a difference is shown in {count_shown(comparison)} of arms."
        )
    ]
    for detector in results.detectors:
        blocks += [Heading(2, detector), _arm_table(results, _of(comparison.arms, detector))]
        pairs = _of(comparison.pairs, detector)
        if pairs:
            blocks.append(Items([verdict(pair) for pair in pairs]))
    return blocks


def _of(summaries: Sequence[Summary], detector: str) -> list[Summary]:
    return [summary for summary in summaries if summary.detector == detector]


def _plan(results: Results) -> str:
    """A sentence on what was compared."""
    pretraining = {run.pretraining_seed for run in results.runs} - {None}
    finetuning = {run.finetuning_seed for run in results.runs} - {None}
    parts = [f"Compared are {len(results.arms)} arms of pretraining ({', '.join(results.arms)})"]
    if pretraining:
        parts.append(f"with {count_units(len(pretraining), 'pretraining seeds')}")
    if finetuning:
        parts.append(
            f"each backbone fine-tuned with {count_units(len(finetuning), 'fine-tuning seeds')} "
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


def _arm_table(results: Results, arms: Sequence[ArmSummary]) -> Table:
    columns = {
        "arm": [arm.arm for arm in arms],
        "mean": [number(arm.mean) for arm in arms],
        "sd": [number(arm.deviation) for arm in arms],
        "n": [
            count_units(arm.units, arm.unit) + ("" if arm.runs == arm.units else f" ({arm.runs} runs)") for arm in arms
        ],
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
    return Table(list(columns), list(zip(*columns.values())))


def _accuracy(results: Results, arm: str) -> str:
    runs = [run for run in results.runs if run.arm == arm and run.detector is None and ACCURACY in run.metrics]
    if not runs:
        return "–"
    nested = nested_figures(runs, ACCURACY)
    return f"{nested_mean(nested):.2f} (n = {len(unit_means(nested))})"


def _details(results: Results, comparison: Comparison, detector: str) -> list[Block]:
    arms, table = _of(comparison.arms, detector), _pair_table(_of(comparison.pairs, detector))
    blocks: list[Block] = [Heading(2, f"{detector}: the numbers"), Heading(3, "Pairs"), table]
    names = [name for name in DEFINITIONS if all(name in arm.means for arm in arms)]
    if names and arms:
        rows = [[arm.arm, *(_mean(arm, name) for name in names)] for arm in arms]
        blocks += [Heading(3, "Every definition"), Table(["arm", *(metric_title(name) for name in names)], rows)]
    classes = [class_figures(arm, results.metric) for arm in arms]
    if classes and classes[0]:
        rows = [[label, *(_mean(arm, mine.get(label)) for arm, mine in zip(arms, classes))] for label in classes[0]]
        blocks += [Heading(3, "Every class"), Table(["class", *(arm.arm for arm in arms)], rows)]
    return blocks


def _mean(arm: ArmSummary, name: str | None) -> str:
    if name is None:
        return "–"
    deviation = arm.deviations[name]
    return number(arm.means[name]) + ("" if deviation is None else f" ± {number(deviation)}")


def _pair_table(pairs: Sequence[PairSummary]) -> Table:
    heads = ["pair", "difference", "sd", "n", "95 % t", "95 % bootstrap", "95 % over test images", "p", "p, Holm"]
    rows = [
        [
            f"{pair.second} − {pair.first}",
            signed(pair.difference),
            number(pair.deviation),
            str(pair.units),
            *(interval(found) for found in (pair.seeds, pair.bootstrap, pair.images)),
            probability(pair.p),
            probability(pair.corrected),
            "–" if pair.needed is None else f"{pair.needed:,}",
        ]
        for pair in pairs
    ]
    return Table([*heads, f"seeds for {EFFECT:g} points"], rows)


def _published_table() -> Table:
    """The figures of both papers, with the gains over their own baselines."""
    rows = []
    for name in SALIENCYMIX_PAPER:
        cells = [name]
        for table, digits in ((SALIENCYMIX_PAPER, 2), (CUTMIX_PAPER, 1)):
            value, reference = table.get(name), table["baseline"]
            gain = "" if value is None or name == "baseline" else f"{value - reference:+.{digits}f}"
            cells += ["–" if value is None else f"{value:.{digits}f}", gain]
        rows.append(cells)
    return Table(["pretraining", "SaliencyMix paper, 3 runs", "gain", "CutMix paper", "gain"], rows)


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
