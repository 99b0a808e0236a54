"""What was measured: results of runs, and times of training steps."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from ..benchmarks.gpu_record import read_records, step_times
from ..utils.errors import DataError
from .rows import Experiment

RESULT, ROBUSTNESS = "result.json", "robustness.json"

# Images of the training part.
IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167, "tiny_imagenet": 100_000}


@dataclass(frozen=True)
class Result:
    """What one run gave.

    Attributes:
        config: the row's config, a path from the project's root.
        pretraining: None, or the config of the pretraining that it started from.
        protocol: ``'paper'``, or what is different, such as ``'30 epochs'``.
        metrics: figures by name.
    """

    config: str | None
    pretraining: str | None
    protocol: str
    metrics: Mapping[str, float]


def read_results(folder: str | Path) -> list[Result]:
    """Every result under a folder, in the order of the paths; none where there is no such folder.

    A ``result.json`` holds ``config``, the config of the row that it belongs to, ``metrics``, figures
    by name as the test gave them, and perhaps ``protocol`` (default ``'paper'``) and ``pretraining``.
    One without ``config`` is a study's, and not read. A ``robustness.json`` is what
    ``tools/test_robustness.py`` writes.

    Raises:
        DataError: a file is not as above.
    """
    found = []
    for path in sorted(Path(folder).rglob("*.json")):
        if path.name == RESULT:
            content = _read(path)
            if "config" in content:
                start, metrics = _from_root(content.get("pretraining")), _metrics(path, content.get("metrics"))
                found.append(Result(_from_root(content["config"]), start, content.get("protocol", "paper"), metrics))
        elif path.name == ROBUSTNESS:
            content = _read(path)
            figures = content.get("figures", {})
            metrics = {name: row.get("accuracy/top1") for name, row in figures.items() if name != "clean"}
            config = _from_root(content.get("config"))
            found.append(Result(config, config, "paper", _metrics(path, metrics)))
    return found


def describe_result(experiment: Experiment, results: list[Result]) -> str:
    """What our runs of a row gave, such as ``'4.81±0.12 (3 runs)'``, by protocol; else ``'not run'``."""
    by_protocol: dict[str, list[list[float]]] = {}
    for result in results:
        same = (result.config, result.pretraining) == (experiment.config, experiment.pretraining)
        if same and all(name in result.metrics for name in experiment.metrics):
            figures = [_as_in_the_table(result.metrics[name], experiment.kind) for name in experiment.metrics]
            by_protocol.setdefault(result.protocol, []).append(figures)
    said = []
    for protocol, runs in by_protocol.items():
        figure = "/".join(_mean_and_deviation(column) for column in zip(*runs))
        notes = [f"{len(runs)} run{'s' if len(runs) > 1 else ''}"] + ([] if protocol == "paper" else [protocol])
        said.append(f"{figure} ({', '.join(notes)})")
    return "; ".join(said) or "not run"


def read_step_times(folder: str | Path) -> dict[str, list[Mapping[str, Any]]]:
    """By config, ``seconds`` of a training step at the config's batch and the ``device``, for each card under ``gpu/``.

    Raises:
        DataError: a file there is no record of ``make gpu``.
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
    """GPU-hours of a row's training steps by the measured time of one; else ``'not measured'``.

    Crop and flip are done by the loader, so that a row without them takes the time of its sibling.
    """
    # What is tested only was trained for another row.
    if experiment.config is None or experiment.config == experiment.pretraining:
        return "-"
    config = experiment.config if experiment.config in times else experiment.config.replace("-plain_", "_")
    if config not in times:
        return "not measured"
    hours = training_steps(root / experiment.config) / 3600
    return "; ".join(f"{hours * entry['seconds']:.2g} on {entry['device']}" for entry in times[config])


def training_steps(config: Path) -> int:
    """Training steps of a config, on one GPU.

    Raises:
        DataError: its epochs are of data whose size is not known here.
    """
    from ..utils.config import read_config

    cfg = read_config(config)
    if cfg.train_cfg.get("max_iters"):
        return int(cfg.train_cfg.max_iters)
    if config.parent.name not in IMAGES:
        raise DataError(f"{config} counts epochs of unknown size; wanted one in {', '.join(IMAGES)}, or iterations")
    images = IMAGES[config.parent.name]
    return int(cfg.train_cfg.max_epochs) * -(-images // int(cfg.train_dataloader.batch_size))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}; wanted an object")
    return content


def _from_root(config: Any) -> str | None:
    """A config's path as the rows have it, however it was typed."""
    return None if config is None else f"configs/{str(config).rpartition('configs/')[2]}"


def _metrics(path: Path, metrics: Any) -> Mapping[str, float]:
    if not isinstance(metrics, dict) or not all(isinstance(value, (int, float)) for value in metrics.values()):
        raise DataError(f"{path} has {metrics!r} for figures; wanted numbers by name")
    return metrics


def _as_in_the_table(figure: float, kind: str) -> float:
    return {"error": 100 - figure, "share": 100 * figure, "plain": figure}[kind]


def _mean_and_deviation(figures: Any) -> str:
    mean = f"{statistics.fmean(figures):.2f}"
    return mean if len(figures) == 1 else f"{mean}±{statistics.stdev(figures):.2f}"
