"""The list of the paper's rows with measured results and costs, as dicts and as text."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from ..study.commands import folder_size
from ..study.config import RunConfig
from ..study.run import read_json
from ..utils.config import read_config
from ..utils.errors import DataError
from ..utils.files import log_entries
from .cost import Machine, Measurements, describe_each, describe_hours, describe_size
from .paper import NONE
from .rows import EXPERIMENTS, STUDIES, Experiment, imagenet_config

Row = dict[str, Any]
NONE_HERE = "-"

BATCH_256 = "--cfg-options train_dataloader.batch_size=256 auto_scale_lr.base_batch_size=256"
NOTE = (
    "GPU-hours are those of the training steps alone, estimated from the measured time of one.\n"
    "The CIFAR configs have batch 128, as the released command. For batch 256, as in the paper's text, add:\n"
    f"  {BATCH_256} --work-dir ANOTHER\n"
    "The short recipe for ImageNet is the config with -100e in its name, where needed with --cfg-options augment=NAME."
)


def list_experiments(
    words: Sequence[str] = (),
    results: str | Path = "results",
    root: str | Path = ".",
    machine: Machine | None = None,
) -> list[Row]:
    """List the rows of the paper's tables with their configs, commands, costs and results.

    Args:
        words: only rows that contain all of these, ignoring case. Defaults to none: all rows.
        results: folder of results, see :func:`.read_results`, with the records of ``make gpu`` in its ``gpu/``.
        root: the project's folder, which has ``configs/``.
        machine: GPUs and cores for which hours are estimated. Defaults to none.

    Returns:
        a dict for each row: ``table``, ``row``, ``config``, ``options``, ``commands``, ``pretraining``, ``paper``,
        ``gpu_hours`` and ``ours``; with a machine also ``hours``, the least on it with the limit, and ``disk``,
        the size of the work dir. ``commands`` is a list of strings, all others are strings.

    Raises:
        DataError: a file under ``results`` is invalid.
    """
    found = read_results(results, Path(root))
    measured = Measurements(results, root, "" if machine is None else machine.card)
    rows = []
    for experiment in EXPERIMENTS:
        config = experiment.config
        row: Row = dict(
            table=experiment.table,
            row=experiment.row,
            config=config or "no config here",
            options=" ".join(experiment.options),
            commands=list(experiment.commands),
            pretraining=experiment.pretraining or "",
            paper=experiment.paper,
            ours=describe_result(experiment, found),
        )
        text = " ".join([*map(str, row.values())]).lower()
        if not all(word.lower() in text for word in words):
            continue
        if config is None or config == experiment.start:
            # The commands of a row whose pretraining is its config only test; the training is another row.
            gpu_hours = hours = disk = NONE_HERE
        else:
            cost = measured.cost(str(experiment.trained), RunConfig(Path(root, config)))
            named = experiment.commands[-1].partition("--work-dir ")[2]
            folder = Path(root, named or f"work_dirs/{Path(str(experiment.trained)).stem}")
            gpu_hours, hours = describe_each(cost.gpu_hours), describe_hours(cost, machine or Machine())
            disk = describe_size(folder_size(folder) if folder.is_dir() else None)
        rows.append({**row, "gpu_hours": gpu_hours, **(dict(hours=hours, disk=disk) if machine else {})})
    return rows


def format_rows(rows: Sequence[Row]) -> str:
    """Format rows of :func:`list_experiments` as text: for each a line of figures, its config and its commands."""
    lines: list[str] = []
    table = None
    for row in rows:
        if row["table"] != table:
            table = row["table"]
            lines += ["", table]
        paper = row["paper"] if row["paper"] == NONE else f"paper {row['paper']}"
        lines.append(f"  {row['row']}: {paper} | ours {row['ours']} | GPU-hours {row['gpu_hours']}")
        lines.append(f"    {row['config']}")
        if "hours" in row:
            lines.append(f"    hours at least {row['hours']} | disk {row['disk']}")
        if row["pretraining"] and row["pretraining"] != row["config"]:
            lines.append(f"    after {row['pretraining']}")
        lines += [f"    $ {command}" for command in row["commands"]]
    return "\n".join([*lines, "", NOTE]).lstrip("\n")


@dataclass(frozen=True)
class Result:
    """The result of one run: ``config`` (``trained``) and ``start`` as of its
    :class:`~smix_mm.experiments.rows.Experiment`, figures by name, and as ``protocol`` ``'paper'`` or what differs from
    the row's config, such as ``'30 epochs'``.
    """

    config: str
    start: str | None
    protocol: str
    metrics: Mapping[str, float]


def read_results(folder: str | Path, root: Path) -> list[Result]:
    """Read what the tools wrote under a folder, ordered by path.

    These are work dirs of ``tools/train.py`` (the config, and the last evaluation in ``vis_data/scalars.json``),
    ``robustness.json`` of ``tools/test_robustness.py``, and the runs of a study that has rows. The folder need not
    exist; ``root`` is the project's folder, with the configs that runs are compared with.

    Raises:
        DataError: a file is not JSON, not an object, or has metrics that are not numbers.
    """
    rows: dict[str, dict[tuple[str, ...], Experiment]] = {}
    for each in EXPERIMENTS:
        rows.setdefault(Path(each.trained or "").name, {})[each.options] = each
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if path.name == "robustness.json":
            content = read_json(path)
            figures = {name: row.get("accuracy/top1") for name, row in content.get("figures", {}).items()}
            config = f"configs/{str(content.get('config')).rpartition('configs/')[2]}"
            found.append(Result(config, config, "paper", _metrics(path, figures)))
        elif path.name == "study.json":
            study = STUDIES.get(read_json(path).get("name", ""))
            for result in sorted(path.parent.glob("*/*/*/*/result.json")) if study else ():
                content = read_json(result)
                start = f"{content.get('arm')} {content.get('detector')}"
                found.append(Result(str(study), start, "paper", _metrics(result, content.get("metrics"))))
        elif usual := rows.get(path.name.replace("-100e", "")):
            found += _training_result(path, [*usual.values()], root)
    return found


def _metrics(path: Path, metrics: Any) -> Mapping[str, float]:
    if not isinstance(metrics, dict) or not all(isinstance(value, (int, float)) for value in metrics.values()):
        raise DataError(f"{path} should contain metrics as numbers by name, got {metrics!r}.")
    return metrics


def _training_result(config: Path, rows: list[Experiment], root: Path) -> Iterator[Result]:
    """The result of a work dir of ``tools/train.py``, which has a copy of its config; none before its first test.

    Of several rows with this file name, which differ in options alone, it is that with the same batch augmentation.
    """
    entries = list(log_entries(config.parent))
    tests = [entry for entry in entries if any("/" in name for name in entry)]
    if not tests:
        return
    cfg = read_config(config)
    for row in rows:
        expected = read_config(root / str(row.config), dict(option.split("=") for option in row.options))
        mixings = [(each.get("data_preprocessor") or {}).get("batch_augments") for each in (cfg, expected)]
        if len(rows) == 1 or mixings[0] == mixings[1]:
            break
    else:
        return
    usual = str(row.trained)
    last = max(tests, key=lambda entry: entry["step"])
    metrics = {name: value for name, value in last.items() if "/" in name}
    if times := [entry["time"] for entry in entries if "loss" in entry and "time" in entry]:
        steps = max(entry["step"] for entry in entries if "loss" in entry)
        metrics["hours"] = statistics.fmean(times) * steps / 3600
    unit = "max_iters" if cfg.train_cfg.get("max_iters") else "max_epochs"
    differs = {
        f"{unit[4:]}": (last["step"], expected.train_cfg.get(unit)),
        "images a process": (cfg.train_dataloader.batch_size, expected.train_dataloader.batch_size),
        "(optim wrapper)": (cfg.optim_wrapper.get("type"), expected.optim_wrapper.get("type")),
    }
    protocol = ", ".join(f"{mine} {name}" for name, (mine, theirs) in differs.items() if mine != theirs) or "paper"
    checkpoint = (cfg.model.backbone.get("init_cfg") or {}).get("checkpoint") if "voc" in usual else None
    # The listed commands name the published backbone after its arm.
    start = imagenet_config("resnet50", Path(checkpoint).stem) if checkpoint else " ".join(row.options) or None
    yield Result(usual, start, protocol, metrics)


def describe_result(experiment: Experiment, results: list[Result]) -> str:
    """Mean and deviation of a row's runs by protocol, such as ``'4.81±0.12 (3 runs)'``, or ``'not run'``."""
    by_protocol: dict[str, list[list[float]]] = {}
    for result in results:
        same = (result.config, result.start) == (experiment.trained, experiment.start)
        if same and all(name in result.metrics for name in experiment.metrics):
            start, factor = {"error": (100, -1), "share": (0, 100), "plain": (0, 1)}[experiment.kind]
            figures = [start + factor * result.metrics[name] for name in experiment.metrics]
            by_protocol.setdefault(result.protocol, []).append(figures)
    parts = []
    for protocol, runs in by_protocol.items():
        deviations = [f"±{statistics.stdev(column):.2f}" if len(runs) > 1 else "" for column in zip(*runs)]
        means = [f"{statistics.fmean(column):.2f}" for column in zip(*runs)]
        figure = "/".join(mean + deviation for mean, deviation in zip(means, deviations))
        notes = [f"{len(runs)} run{'s' if len(runs) > 1 else ''}"] + ([] if protocol == "paper" else [protocol])
        parts.append(f"{figure} ({', '.join(notes)})")
    return "; ".join(parts) or "not run"
