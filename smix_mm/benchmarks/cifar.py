"""How many images a second a config trains with, in mmengine's own training loop."""

from __future__ import annotations

import pickle
import tempfile
import time
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.benchmark import timer

from ..datasets.in_memory.dataset import CIFAR10
from ..engine.launch import build_runner, load_config
from ..utils.errors import UsageError
from ..utils.text import markdown_table
from .machine import median_and_quartiles

Row = dict[str, Any]

ARMS = ("baseline", "cutmix", "saliencymix", "saliencymix-captured")
CONFIGS = tuple(f"configs/cifar10/fast/resnet18_{arm}_cifar10.py" for arm in ARMS)


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

    Loading, augmentation, training step and hooks are included; evaluation, checkpoints and the first
    iterations, which start workers and select kernels, are not.

    Arguments: see ``tools/benchmark_cifar.py --help``; ``rounds`` is at least 2. ``made_up`` trains on as many images
    of noise as CIFAR-10 has, in place of the data set's ``data_root``; the speed does not depend on the pixels.

    Returns:
        ``config``, ``device``, ``batch``, ``data`` (``'noise'`` or ``'as configured'``), and images a
        second over the rounds: ``median`` and ``quartiles`` (first and third).

    Raises:
        UsageError: a number is too small, or the config does not exist.
        FileNotFoundError: the data do not exist.
    """
    gpu = torch.cuda.is_available()
    iterations = (200 if gpu else 1) if iterations is None else iterations
    warm_up = (50 if gpu else 1) if warm_up is None else warm_up
    if min(iterations, warm_up) < 1 or rounds < 2:
        raise UsageError(
            f"iterations, warm_up and rounds should be at least 1, 1 and 2, got {iterations}, {warm_up} and {rounds}."
        )
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_config(config, folder, cfg_options, "none")
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
        cfg.default_hooks.checkpoint = None
        cfg.train_cfg.max_epochs = 10**6
        cfg.log_level = "ERROR"
        # mmengine has one message hub for each name.
        cfg.experiment_name = f"benchmark-{time.time_ns()}"
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
    median, quartiles = median_and_quartiles(clock.speeds)
    return dict(
        config=str(config),
        device=torch.cuda.get_device_name() if gpu else "cpu",
        batch=cfg.train_dataloader.batch_size,
        data="noise" if made_up else "as configured",
        median=median,
        quartiles=quartiles,
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


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    cells = []
    for row in rows:
        first, third = row["quartiles"]
        speed = (row["batch"], f"{row['median']:,.0f}", f"{first:,.0f}-{third:,.0f}")
        cells.append((Path(row["config"]).stem, row["device"], *speed))
    return markdown_table(("config", "device", "batch", "images a second", "quartiles"), cells, "llrrl")


class _EnoughError(Exception):
    """All rounds are done."""


class _Clock(Hook):
    """Measures the speed of each round of iterations, then ends the training."""

    def __init__(self, iterations: int, warm_up: int, rounds: int) -> None:
        self.iterations, self.warm_up, self.rounds = iterations, warm_up, rounds
        self.speeds: list[float] = []
        self.seen = self.images = 0
        self.start = 0.0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Count; at the end of a round, wait for the device and read the clock."""
        self.seen += 1
        self.images += len(data_batch["inputs"])
        if self.seen < self.warm_up or (self.seen - self.warm_up) % self.iterations:
            return
        now = timer()
        if self.seen > self.warm_up:
            self.speeds.append(self.images / (now - self.start))
        if len(self.speeds) == self.rounds:
            raise _EnoughError
        self.images, self.start = 0, now
