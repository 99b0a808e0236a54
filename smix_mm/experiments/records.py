"""Measured results of runs and times of training steps."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

from mmengine.config import Config

from ..benchmarks.gpu_record import read_records, step_times
from ..utils.config import read_config
from ..utils.errors import DataError
from ..utils.files import log_entries
from .rows import EXPERIMENTS, STUDIES, Experiment, imagenet_config

# Training images of the data set in configs/<name>/.
IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167, "tiny_imagenet": 100_000}


@dataclass(frozen=True)
class Result:
    """The result of one run: ``config`` and ``start`` as of its :class:`~smix_mm.experiments.rows.Experiment`, figures
    by name, and as ``protocol`` ``'paper'`` or what differs from the row's config, such as ``'30 epochs'``.
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
    configs = {Path(each.config).name: each.config for each in EXPERIMENTS if each.config}
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
        elif usual := configs.get(path.name.replace("-100e", "")):
            found += _training_result(path, usual, root)
    return found


def _training_result(config: Path, usual: str, root: Path) -> Iterator[Result]:
    """The result of a work dir of ``tools/train.py``, which has a copy of its config; none before its first test."""
    entries = list(log_entries(config.parent))
    tests = [entry for entry in entries if any("/" in name for name in entry)]
    if not tests:
        return
    cfg, expected = read_config(config), read_config(root / usual)
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
    start = checkpoint and imagenet_config("resnet50", Path(checkpoint).stem)
    yield Result(usual, start, protocol, metrics)


def describe_result(experiment: Experiment, results: list[Result]) -> str:
    """Mean and deviation of a row's runs by protocol, such as ``'4.81±0.12 (3 runs)'``, or ``'not run'``."""
    by_protocol: dict[str, list[list[float]]] = {}
    for result in results:
        same = (result.config, result.start) == (experiment.config, experiment.start)
        if same and all(name in result.metrics for name in experiment.metrics):
            start, factor = {"error": (100, -1), "share": (0, 100), "plain": (0, 1)}[experiment.kind]
            figures = [start + factor * result.metrics[name] for name in experiment.metrics]
            by_protocol.setdefault(result.protocol, []).append(figures)
    parts = []
    for protocol, runs in by_protocol.items():
        figure = "/".join(_mean_and_deviation(column) for column in zip(*runs))
        notes = [f"{len(runs)} run{'s' if len(runs) > 1 else ''}"] + ([] if protocol == "paper" else [protocol])
        parts.append(f"{figure} ({', '.join(notes)})")
    return "; ".join(parts) or "not run"


def read_step_times(folder: str | Path) -> dict[str, list[Mapping[str, Any]]]:
    """By config the ``seconds`` of a training step at its batch, for each ``device`` with a record in ``gpu/``.

    Raises:
        DataError: a file there is not a record of ``make gpu``.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    try:
        for record in read_records(folder):
            for config, entry in step_times(record).items():
                found.setdefault(config, []).append(entry)
    except ValueError as error:
        raise DataError(str(error)) from error
    return found


def describe_cost(experiment: Experiment, times: Mapping[str, list[Mapping[str, Any]]], root: Path) -> str:
    """GPU-hours of a row's training steps on each measured card, or ``'not measured'``.

    A row without crop and flip has the time of the row with them: both are done by the loader.
    """
    # The commands of such a row only test; its training is another row.
    if experiment.config is None or experiment.config == experiment.start:
        return "-"
    config = experiment.config if experiment.config in times else experiment.config.replace("-plain_", "_")
    if config not in times:
        return "not measured"
    hours = training_steps(root / experiment.config) / 3600
    return "; ".join(f"{hours * entry['seconds']:.2g} on {entry['device']}" for entry in times[config])


def training_steps(config: Path) -> int:
    """Training steps of a config on one GPU; see :func:`training_images`."""
    return training_images(str(config), read_config(config))[0]


def training_images(name: str, cfg: Config) -> tuple[int, int]:
    """Training steps of a config on one GPU, and how many images they read.

    Raises:
        DataError: the config counts epochs, and the number of images of its data set is unknown.
    """
    batch = int(cfg.train_dataloader.batch_size)
    if cfg.train_cfg.get("max_iters"):
        return int(cfg.train_cfg.max_iters), int(cfg.train_cfg.max_iters) * batch
    folder = Path(name).parent.name
    if folder not in IMAGES:
        raise DataError(
            f"{name} should be in {', '.join(IMAGES)} or count iterations: its number of images is unknown."
        )
    epochs = int(cfg.train_cfg.max_epochs)
    return epochs * -(-IMAGES[folder] // batch), epochs * IMAGES[folder]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; a DataError names a file that is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} should be a JSON file: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} should contain a JSON object, got {type(content).__name__}.")
    return content


def _metrics(path: Path, metrics: Any) -> Mapping[str, float]:
    if not isinstance(metrics, dict) or not all(isinstance(value, (int, float)) for value in metrics.values()):
        raise DataError(f"{path} should contain metrics as numbers by name, got {metrics!r}.")
    return metrics


def _mean_and_deviation(figures: Any) -> str:
    mean = f"{statistics.fmean(figures):.2f}"
    return mean if len(figures) == 1 else f"{mean}±{statistics.stdev(figures):.2f}"
