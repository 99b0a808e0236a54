"""How long a training step takes with each kind of mixing, relative to CutMix in the same run."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any, Sequence

import torch
from torch import Tensor
from torch.utils.benchmark import timer

from ..utils.config import read_config
from ..utils.errors import UsageError
from ..utils.text import markdown_table
from .machine import device_type, in_turns, median_and_quartiles

Row = dict[str, Any]

CPU_CONFIG = "configs/cifar10/resnet18_baseline_cifar10.py"
GPU_CONFIG = "configs/imagenet/resnet50_baseline_in1k.py"

ARMS = ("no mixing", "CutMix", "SaliencyMix", "OfficialSaliencyMix")
# The last is SaliencyMix with label="saliency".
RIVALS = ("PaperResizeMix", "GuidedMixup", "RecursiveMix", "SaliencyMix, label by saliency")
REFERENCE = "CutMix"
TIMES = ("median_ms", "quartiles_ms", "to_cutmix")

# SaliencyMix checks its first ten batches, which synchronises the CPU with the GPU.
GPU_WARM_UP = 12


def benchmark_training(
    config: str | Path = CPU_CONFIG,
    *,
    batch: int = 128,
    size: int | tuple[int, int] = 32,
    iterations: int = 1,
    rounds: int = 10,
    device: str = "cpu",
    amp: bool = False,
    rivals: bool = False,
    mixing_only: bool = False,
) -> list[Row]:
    """Time training steps with each arm, the arms taking turns.

    A step is mmengine's ``model.train_step``: data preprocessor with the augmentation, applied to
    every batch, then forward, backward and the optimiser's step. Images are noise, already in memory.
    All arms train the same model; the first round warms up and is not counted. Arguments: see
    ``tools/benchmark_training.py --help``; ``size`` is a side, or (height, width), in pixels.

    Returns:
        For each arm the settings, and over the rounds ``median_ms``, ``quartiles_ms`` (first and third) and
        ``to_cutmix``, the median of the time over CutMix's in the same round. These are None if there is no GPU, and
        for an arm whose packages are not installed, which is printed on stderr.

    Raises:
        UsageError: an argument or the config does not allow it.
    """
    if min(batch, iterations, rounds) < 1:
        raise UsageError(
            f"batch, iterations and rounds should be positive numbers, got {batch}, {iterations} and {rounds}."
        )
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 3:
        raise UsageError(f"size should be at least 3x3, got {height}x{width}.")
    kind = device_type(device)
    if amp and kind == "cpu":
        raise UsageError("mixed precision needs a GPU, got a CPU as device; leave out amp, or choose a GPU.")
    shape = {"batch": batch, "height": height, "width": width, "device": device, "amp": amp}
    arms = ARMS + RIVALS if rivals else ARMS
    rows: list[Row] = [{"config": str(config), "arm": arm, **shape, **dict.fromkeys(TIMES)} for arm in arms]
    if kind == "cuda" and not torch.cuda.is_available():
        return rows
    steps = _Steps(read_config(config), rows[0], arms, mixing_only)
    with torch.cuda.device_of(steps.inputs):  # `timer` waits for the current device
        times = _take_turns(steps, iterations, rounds)
    for row in rows:
        if mine := times.get(row["arm"]):
            row["median_ms"], row["quartiles_ms"] = median_and_quartiles(mine)
            row["to_cutmix"] = statistics.median(each / other for each, other in zip(mine, times[REFERENCE]))
    return rows


class _Steps:
    """One model and optimiser, with a data preprocessor for each arm."""

    def __init__(self, cfg: Any, shape: Row, arms: Sequence[str] = ARMS, mixing_only: bool = False) -> None:
        from mmengine.optim import build_optim_wrapper
        from mmengine.registry import init_default_scope
        from mmpretrain.registry import MODELS

        self.mixing_only = mixing_only
        init_default_scope("mmpretrain")
        torch.manual_seed(0)
        device = torch.device(shape["device"])
        self.model = MODELS.build(cfg.model).to(device).train()
        settings = {"type": "ClsDataPreprocessor", **(cfg.get("data_preprocessor") or {})}
        if not settings.get("mean") or not settings.get("std"):
            raise UsageError("the config's data_preprocessor should have mean and std, which SaliencyMix needs.")
        classes = settings["num_classes"] = settings.get("num_classes") or self.model.head.num_classes
        self.preprocessors = {}
        for arm in arms:
            try:
                self.preprocessors[arm] = MODELS.build({**settings, **_augments(arm, settings)}).to(device)
            except ImportError as error:
                print(f"{arm}: not measured: {error}", file=sys.stderr)
        optimiser = dict(cfg.optim_wrapper)
        if shape["amp"]:
            optimiser.update(type="AmpOptimWrapper", loss_scale="dynamic")
        self.optimiser = build_optim_wrapper(self.model, optimiser)
        generator = torch.Generator().manual_seed(0)
        images = (shape["batch"], 3, shape["height"], shape["width"])
        self.inputs: Tensor = torch.randint(0, 256, images, generator=generator).to(device, torch.uint8)
        labels = torch.randint(0, classes, (shape["batch"],), generator=generator).tolist()
        self.labels: list[int] = labels
        self.warm_up = GPU_WARM_UP if self.inputs.is_cuda else 1

    def batch(self) -> Row:
        """A batch as a data loader returns it; the preprocessor modifies the samples, so each is used once."""
        from mmpretrain.structures import DataSample

        return {"inputs": self.inputs, "data_samples": [DataSample().set_gt_label(label) for label in self.labels]}

    def step(self, arm: str, batch: Row) -> None:
        """One training step with an arm's augmentation."""
        if self.mixing_only:
            self.preprocessors[arm](batch, training=True)
            return
        self.model.data_preprocessor = self.preprocessors[arm]
        self.model.train_step(batch, self.optimiser)


def _augments(arm: str, settings: Row) -> Row:
    """The settings of the data preprocessor with which an arm mixes every batch."""
    if arm == "no mixing":
        return {"batch_augments": None}
    augment: Row = {"type": arm.partition(",")[0]}
    if arm not in ("PaperResizeMix", "GuidedMixup", "RecursiveMix"):
        augment["alpha"] = 1.0
    if arm == RIVALS[-1]:
        augment["label"] = "saliency"
    if augment["type"] in ("SaliencyMix", "GuidedMixup"):
        augment.update(mean=settings["mean"], std=settings["std"])
        if not settings.get("to_rgb"):
            augment["channel_order"] = "bgr"
    return {"batch_augments": {"augments": augment, "probs": 1.0}, "to_onehot": True}


def _take_turns(steps: _Steps, iterations: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step, by arm, one number a round."""
    times: dict[str, list[float]] = {arm: [] for arm in steps.preprocessors}
    for turn, arm in in_turns(list(times), rounds + 1):
        batches = [steps.batch() for _ in range(iterations if turn else max(iterations, steps.warm_up))]
        start = timer()
        for batch in batches:
            steps.step(arm, batch)
        milliseconds = (timer() - start) * 1000
        if turn:
            times[arm].append(milliseconds / iterations)
    return times


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    header = ("config", "arm", "batch", "size", "device", "amp", "median, ms", "quartiles, ms", "x CutMix")
    cells = []
    for row in rows:
        case = (Path(row["config"]).stem, row["arm"], row["batch"], f"{row['height']}x{row['width']}", row["device"])
        times = ("not measured", "-", "-")
        if row["median_ms"] is not None:
            first, third = row["quartiles_ms"]
            times = (f"{row['median_ms']:.2f}", f"{first:.2f}-{third:.2f}", f"{row['to_cutmix']:.3f}")
        cells.append((*case, "yes" if row["amp"] else "no", *times))
    return markdown_table(header, cells, "llrlllr")
