"""How many images a second a config trains with, in mmengine's own training loop."""

from __future__ import annotations

import pickle
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..datasets.in_memory.reading import CIFAR10
from ..engine.launch import build_runner, load_config
from ..utils.errors import UsageError

Row = dict[str, Any]

CONFIGS = tuple(
    f"configs/cifar10/fast/resnet18_{arm}.py" for arm in ("baseline", "cutmix", "saliencymix", "saliencymix_captured")
)


def benchmark_cifar(
    config: str | Path,
    *,
    iterations: int | None = None,
    warm_up: int | None = None,
    rounds: int = 5,
    cfg_options: dict[str, Any] | None = None,
    made_up: bool = False,
) -> Row:
    """Measure the speed of training from a config, on the device that mmengine trains on.

    All that a run does from image to image counts: loading, augmentation, step, hooks. The first
    iterations, which start workers and try kernels, do not count, nor do evaluation and checkpoints.

    Args:
        config: a classification config whose data are in place.
        iterations: in a round. Defaults to 200 on a GPU, 1 on a CPU.
        warm_up: iterations before the first round. Defaults to 50 on a GPU, 1 on a CPU.
        rounds: how many rounds.
        cfg_options: settings by dotted name, laid over the config.
        made_up: train on as many images of noise as CIFAR has, where the data are not at hand; the
            speed does not depend on the pixels. For configs whose data set has a ``data_root``.

    Returns:
        ``config``, ``device``, ``batch``, ``data`` (``'noise'`` or ``'as configured'``), and images a
        second over the rounds: ``median`` and
        ``quartiles`` (first and third).

    Raises:
        UsageError: an argument does not fit, or there is no such config.
        FileNotFoundError: the data are not in place.
    """
    gpu = torch.cuda.is_available()
    iterations = (200 if gpu else 1) if iterations is None else iterations
    warm_up = (50 if gpu else 1) if warm_up is None else warm_up
    if min(iterations, warm_up) < 1 or rounds < 2:
        raise UsageError(f"iterations, warm_up, rounds are {iterations}, {warm_up}, {rounds}; wanted at least 1, 1, 2")
    with tempfile.TemporaryDirectory() as folder:
        cfg = _only_training(load_config(config, folder, cfg_options, "none"))
        if made_up:
            make_up_cifar10(folder)
            cfg.train_dataloader.dataset.data_root = folder
        clock = _Clock(iterations, warm_up, rounds)
        runner = build_runner(cfg)
        runner.register_hook(clock, priority="LOWEST")
        try:
            runner.train()
        except _EnoughError:
            pass
        finally:
            runner.visualizer.close()
    quartiles = torch.tensor(clock.speeds, dtype=torch.float64).quantile(
        torch.tensor([0.25, 0.75], dtype=torch.float64)
    )
    return dict(
        config=str(config),
        device=torch.cuda.get_device_name() if gpu else "cpu",
        batch=cfg.train_dataloader.batch_size,
        data="noise" if made_up else "as configured",
        median=statistics.median(clock.speeds),
        quartiles=quartiles.tolist(),
    )


def make_up_cifar10(folder: str | Path, number: int = 10_000) -> None:
    """Write CIFAR-10's official files with images of noise, ``number`` in each of the six."""
    root = Path(folder) / CIFAR10.folder
    root.mkdir()
    random = np.random.default_rng(0)
    for name in (*CIFAR10.train, *CIFAR10.test):
        images = random.integers(0, 256, (number, 3072), dtype=np.uint8)
        labels = random.integers(0, 10, number).tolist()
        (root / name).write_bytes(pickle.dumps({"data": images, CIFAR10.labels: labels}, protocol=4))
    (root / CIFAR10.meta).write_bytes(pickle.dumps({CIFAR10.names: [f"class {label}" for label in range(10)]}))


def not_measured_on_gpu(configs: Sequence[str | Path]) -> list[Row]:
    """The rows of a GPU where there is none."""
    missing = dict(device="cuda", batch=None, data=None, median=None, quartiles=None)
    return [dict(config=str(config), **missing) for config in configs]


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| config | device | batch | images a second | quartiles |", "| --- | --- | ---: | ---: | --- |"]
    for row in rows:
        cells = [Path(row["config"]).stem, row["device"]]
        if row["median"] is None:
            cells += ["-", "not measured", "-"]
        else:
            first, third = row["quartiles"]
            cells += [row["batch"], f"{row['median']:,.0f}", f"{first:,.0f}-{third:,.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


class _EnoughError(Exception):
    """All rounds are done."""


class _Clock(Hook):
    """Takes the time of rounds of iterations, then ends the training."""

    def __init__(self, iterations: int, warm_up: int, rounds: int) -> None:
        self.iterations = iterations
        self.warm_up = warm_up
        self.rounds = rounds
        self.speeds: list[float] = []
        self.seen = self.images = 0
        self.start = 0.0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Count; at the end of a round wait for the device and look at the clock."""
        self.seen += 1
        self.images += len(data_batch["inputs"])
        if self.seen < self.warm_up or (self.seen - self.warm_up) % self.iterations:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self.seen > self.warm_up:
            self.speeds.append(self.images / (now - self.start))
        if len(self.speeds) == self.rounds:
            raise _EnoughError
        self.images, self.start = 0, now


def _only_training(cfg: Config) -> Config:
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.train_cfg.max_epochs = 10**6
    cfg.log_level = "ERROR"
    # mmengine keeps one message hub for each name.
    cfg.experiment_name = f"benchmark-{time.time_ns()}"
    return cfg
