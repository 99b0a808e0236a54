"""Measured results of runs and times of training steps."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from mmengine.config import Config

from ..benchmarks.gpu_record import read_records, step_times
from ..utils.errors import DataError
from .rows import Experiment

RESULT, ROBUSTNESS = "result.json", "robustness.json"

# Training images of the data set in configs/<name>/.
IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167, "tiny_imagenet": 100_000}


@dataclass(frozen=True)
class Result:
    """The result of one run.

    Attributes:
        config: the row's config, a path from the project's root.
        pretraining: None, or the config of the pretraining that it started from.
        protocol: ``'paper'``, or what differs from it, such as ``'30 epochs'``.
        metrics: figures by name.
    """

    config: str | None
    pretraining: str | None
    protocol: str
    metrics: Mapping[str, float]


def read_results(folder: str | Path) -> list[Result]:
    """Read every ``result.json`` and ``robustness.json`` under a folder, ordered by path.

    A ``result.json`` has ``config``, the config of its row, ``metrics``, the figures of the test by name, and
    optionally ``protocol`` (default ``'paper'``) and ``pretraining``. One without ``config`` belongs to a study and
    is skipped. ``robustness.json`` is written by ``tools/test_robustness.py``.

    Args:
        folder: need not exist.

    Raises:
        DataError: a file is not JSON, not an object, or has metrics that are not numbers.
    """
    found = []
    for path in sorted(Path(folder).rglob("*.json")):
        if path.name == RESULT:
            content = read_json(path)
            if "config" in content:
                start, metrics = _from_root(content.get("pretraining")), _metrics(path, content.get("metrics"))
                found.append(Result(_from_root(content["config"]), start, content.get("protocol", "paper"), metrics))
        elif path.name == ROBUSTNESS:
            content = read_json(path)
            figures = content.get("figures", {})
            metrics = {name: row.get("accuracy/top1") for name, row in figures.items() if name != "clean"}
            config = _from_root(content.get("config"))
            found.append(Result(config, config, "paper", _metrics(path, metrics)))
    return found


def describe_result(experiment: Experiment, results: list[Result]) -> str:
    """Mean and deviation of a row's runs by protocol, such as ``'4.81±0.12 (3 runs)'``, or ``'not run'``."""
    by_protocol: dict[str, list[list[float]]] = {}
    for result in results:
        same = (result.config, result.pretraining) == (experiment.config, experiment.pretraining)
        if same and all(name in result.metrics for name in experiment.metrics):
            figures = [_table_figure(result.metrics[name], experiment.kind) for name in experiment.metrics]
            by_protocol.setdefault(result.protocol, []).append(figures)
    parts = []
    for protocol, runs in by_protocol.items():
        figure = "/".join(_mean_and_deviation(column) for column in zip(*runs))
        notes = [f"{len(runs)} run{'s' if len(runs) > 1 else ''}"] + ([] if protocol == "paper" else [protocol])
        parts.append(f"{figure} ({', '.join(notes)})")
    return "; ".join(parts) or "not run"


def read_step_times(folder: str | Path) -> dict[str, list[Mapping[str, Any]]]:
    """Read the measured training steps of each card from ``gpu/`` in a folder of results.

    Returns:
        by config a list of ``seconds``, of a training step at the config's batch, and ``device``.

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
    if experiment.config is None or experiment.config == experiment.pretraining:
        return "-"
    config = experiment.config if experiment.config in times else experiment.config.replace("-plain_", "_")
    if config not in times:
        return "not measured"
    hours = training_steps(root / experiment.config) / 3600
    return "; ".join(f"{hours * entry['seconds']:.2g} on {entry['device']}" for entry in times[config])


def training_steps(config: Path) -> int:
    """Training steps of a config on one GPU; see :func:`training_images`."""
    from ..utils.config import read_config

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


def _from_root(config: Any) -> str | None:
    """The path of a config from the project's root; paths from elsewhere may be absolute."""
    return None if config is None else f"configs/{str(config).rpartition('configs/')[2]}"


def _metrics(path: Path, metrics: Any) -> Mapping[str, float]:
    if not isinstance(metrics, dict) or not all(isinstance(value, (int, float)) for value in metrics.values()):
        raise DataError(f"{path} should contain metrics as numbers by name, got {metrics!r}.")
    return metrics


def _table_figure(figure: float, kind: str) -> float:
    return {"error": 100 - figure, "share": 100 * figure, "plain": figure}[kind]


def _mean_and_deviation(figures: Any) -> str:
    mean = f"{statistics.fmean(figures):.2f}"
    return mean if len(figures) == 1 else f"{mean}±{statistics.stdev(figures):.2f}"
