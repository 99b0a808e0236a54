"""What the report says, in order."""

from __future__ import annotations

from typing import Sequence

from ...evaluation.average_precision import DEFINITIONS
from ..statistics import LEVEL, POWER
from .comparison import ArmSummary, Comparison, PairSummary, class_figures, nested_figures
from .document import Block, Code, Heading, Images, Items, Paragraph, Table
from .figures import FIGURES
from .nesting import nested_mean, unit_means
from .published import published_table
from .results import PRETRAINING, Results
from .wording import count_units, interval, is_shown, number, probability, signed, verdict

ACCURACY = "accuracy/top1"


def report_blocks(
    results: Results, comparison: Comparison, figures: Sequence[str], sheet: str | None, samples: int
) -> list[Block]:
    """The whole report.

    Args:
        results: of the study.
        comparison: of its arms.
        figures: names of the files that were drawn.
        sheet: name of the file of mixed images, or None.
        samples: of the test images.
    """
    blocks: list[Block] = [Heading(1, results.name), Paragraph(_plan(results)), *summary_blocks(results, comparison)]
    if figures:
        titles = [FIGURES[name] for name in figures]
        blocks += [Heading(2, "Figures"), Images(figures, titles)]
    if sheet is not None:
        blocks += [Heading(2, "How images were mixed"), Images([sheet], ["mixed training images"], chart=False)]
    for detector in results.detectors:
        blocks += _details(results, comparison, detector)
    if results.detectors != (PRETRAINING,):
        blocks += [
            Heading(2, "What the papers report"),
            Paragraph(
                "Another protocol on other data: to set beside, not to compare. Faster R-CNN, ResNet-50, VOC 2007 "
                "test, mAP; no deviation is given."
            ),
            published_table(),
        ]
    wrong = [f"{name} has no result" for name in results.missing] + [*results.problems, *comparison.problems]
    blocks += [
        Heading(2, "How to make it again"),
        *_again(results),
        Heading(2, "How to read this"),
        Items(_reading(results, samples)),
        Heading(2, "Not used, or not as it should be"),
        Items(wrong) if wrong else Paragraph("Nothing."),
    ]
    return blocks


def summary_blocks(results: Results, comparison: Comparison) -> list[Block]:
    """What the study shows, a table of the arms, and a sentence a pair."""
    found = len(results.runs)
    blocks: list[Block] = [
        Paragraph(
            f"{_title(results.metric)} (`{results.metric}`), in %. {found} of {found + len(results.missing)} results "
            f"are used; a difference is shown in {_shown(comparison)} of arms."
        )
    ]
    for detector in results.detectors:
        arms = [arm for arm in comparison.arms if arm.detector == detector]
        pairs = [pair for pair in comparison.pairs if pair.detector == detector]
        blocks += [Heading(2, detector), _arm_table(results, arms)]
        if pairs:
            blocks.append(Items([verdict(pair) for pair in pairs]))
    return blocks


def _plan(results: Results) -> str:
    """What was compared, in a sentence."""
    pretraining = {run.pretraining_seed for run in results.runs} - {None}
    finetuning = {run.finetuning_seed for run in results.runs} - {None}
    said = [f"Compared are {len(results.arms)} arms of pretraining ({', '.join(results.arms)})"]
    if pretraining:
        said.append(f"with {count_units(len(pretraining), 'pretraining seeds')}")
    if finetuning:
        said.append(
            f"each backbone fine-tuned with {count_units(len(finetuning), 'fine-tuning seeds')} "
            f"for detection ({', '.join(results.detectors)})"
        )
    return ", ".join(said) + "."


def _again(results: Results) -> list[Block]:
    """Commands, and the software of the runs where they say it."""
    commands = [f"python tools/study.py {verb} --work-dir DIR" for verb in ("report", "verify")]
    if results.config is not None:
        commands.insert(0, f"python tools/study.py run {results.config} --work-dir DIR")
    return [Code(commands), Items(results.software) if results.software else Paragraph("Software: not recorded.")]


def conclusion(comparison: Comparison) -> str:
    """The shortest answer, in a sentence."""
    return f"A difference is shown in {_shown(comparison)} of arms."


def _shown(comparison: Comparison) -> str:
    said = []
    for planned, kind in {None: "", True: "planned ", False: "exploratory "}.items():
        pairs = [pair for pair in comparison.pairs if pair.planned is planned]
        if pairs:
            said.append(f"{sum(map(is_shown, pairs))} of {len(pairs)} {kind}pairs")
    return " and ".join(said) or "none of no pairs"


def _arm_table(results: Results, arms: Sequence[ArmSummary]) -> Table:
    columns = {
        "arm": [arm.arm for arm in arms],
        "mean": [number(arm.mean) for arm in arms],
        "sd": [number(arm.deviation) for arm in arms],
        "n": [f"{count_units(arm.units, arm.unit)}{_runs(arm)}" for arm in arms],
        "95 % over seeds": [interval(arm.seeds, sign=False) for arm in arms],
        "95 % over test images": [interval(arm.images, sign=False) for arm in arms],
        "pretraining top-1": [_accuracy(results, arm.arm) for arm in arms],
        "paper": [number(arm.paper) for arm in arms],
    }
    if results.detectors == (PRETRAINING,):
        del columns["pretraining top-1"], columns["95 % over test images"]
    if not results.paper:
        del columns["paper"]
    return Table(list(columns), list(zip(*columns.values())))


def _runs(arm: ArmSummary) -> str:
    return "" if arm.runs == arm.units else f" ({arm.runs} runs)"


def _accuracy(results: Results, arm: str) -> str:
    runs = [run for run in results.runs if run.arm == arm and run.detector == PRETRAINING and ACCURACY in run.metrics]
    if not runs:
        return "–"
    nested = nested_figures(runs, ACCURACY)
    return f"{nested_mean(nested):.2f} (n = {len(unit_means(nested))})"


def _details(results: Results, comparison: Comparison, detector: str) -> list[Block]:
    arms = [arm for arm in comparison.arms if arm.detector == detector]
    pairs = [pair for pair in comparison.pairs if pair.detector == detector]
    blocks: list[Block] = [Heading(2, f"{detector}: the numbers"), Heading(3, "Pairs"), _pair_table(pairs)]
    names = [name for name in DEFINITIONS if all(name in arm.means for arm in arms)]
    if names and arms:
        rows = [[arm.arm, *(_mean(arm, name) for name in names)] for arm in arms]
        blocks += [Heading(3, "Every definition"), Table(["arm", *(_title(name) for name in names)], rows)]
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
    wanted = f"{pairs[0].wanted:g}" if pairs else ""
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
    return Table([*heads, f"seeds for {wanted} points"], rows)


def _reading(results: Results, samples: int) -> list[str]:
    return [
        "n counts the independent units. Where arms were pretrained with several seeds, that is the pretraining seed, "
        "and the fine-tunings of one backbone are averaged first, because they say nothing about the spread of the "
        "pretraining. Where a checkpoint is given, or one pretraining was done, it is the fine-tuning seed, and the "
        "comparison is one of these backbones. sd is the standard deviation of the units, with n - 1.",
        "A pair is compared over the seeds that both arms have. Its interval and p are those of the paired t test, "
        "which takes the differences as normal; such an interval may even leave 0 to 100. The bootstrap takes no such "
        "thing (BCa over units, or, where fine-tunings are nested, percentiles with pretrainings drawn first and "
        "fine-tunings inside them), and is too narrow for few units; it is shown from three on.",
        f"The interval over test images is that of {samples:,} bootstrap samples of the test set, with the trained "
        "detectors as they are and the same samples for all (a pair: percentiles; an arm: basic): what other images of "
        "the same kind would have changed. Average precision on few images comes out too high, and higher still on "
        "samples of them; the interval of an arm allows for the second alone; in a difference most of it cancels. "
        "The interval over seeds says what other seeds would have changed.",
        "A difference is called shown where the interval over test images, if there is one, leaves out 0, and p is "
        f"under {1 - LEVEL:.2f} after Holm's correction over all tested pairs of this report"
        + (", the planned ones and the rest apart" if results.planned else "")
        + ". Intervals are not corrected.",
        f"The number of seeds is that with which a two-sided t test at {1 - LEVEL:.2f} shows the difference with a "
        f"chance of {100 * POWER:.0f} %, for one pair alone, with the sd found here; from few seeds that is a rough "
        "guess.",
        "A class without an object to find in the test set has no figure and is not in the mean.",
    ]


def _title(metric: str) -> str:
    return DEFINITIONS[metric].title if metric in DEFINITIONS else metric.rpartition("/")[2]
