"""Accuracy of a classifier on clean, attacked and corrupted images."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any, Mapping, Sequence

from mmengine.config import Config
from mmengine.dist import is_main_process

from ..engine.launch import build_runner, errors_of_config, load_config
from ..engine.test import prepare_test
from ..utils.channels import loaded_order
from ..utils.choices import ATTACKS, check_minimum, check_option
from ..utils.errors import UsageError
from ..utils.files import save_figure, write_json
from ..utils.text import markdown_table
from .attacks import parse_eps
from .corruption import CommonCorruption, corrupt_in_memory

CLEAN = "clean"
_TRAINING = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "val_dataloader", "val_cfg",
             "val_evaluator", "auto_scale_lr", "custom_hooks")  # fmt: skip
_tests = itertools.count()


def test_robustness(
    config: str | Path,
    checkpoint: str | Path,
    *,
    attack: str | None = "fgsm",
    eps: Sequence[str] = ("8/255",),
    steps: int = 20,
    corruptions: Sequence[str] = (),
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    work_dir: str | Path | None = None,
    out: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = "none",
) -> dict[str, dict[str, float]]:
    """Test a classifier on clean, attacked and corrupted images.

    Args:
        config: Config of an mmpretrain classifier.
        checkpoint: Its weights.
        attack: ``'fgsm'``, ``'pgd'``, ``'apgd'``, or None for no attack. Defaults to ``'fgsm'``.
        eps: Strengths of the attack, fractions of 255. Defaults to ``('8/255',)``.
        steps: Number of steps of ``'pgd'`` and ``'apgd'``. Defaults to 20.
        corruptions, severities: See :class:`CommonCorruption`; all severities of each. Defaults to no corruption.
        work_dir: Folder for logs. Defaults as in training.
        out: Folder for ``robustness.json`` and, with an attack, the curve ``robustness.png``. Defaults to None:
            nothing is written.
        cfg_options: Settings that override the config's, by dotted name.
        launcher: How several processes were started. Defaults to ``'none'``, for one process.

    Returns:
        Metrics in percent, such as ``{'accuracy/top1': 76.1}``, by test: ``'clean'``, ``'fgsm 8/255'``, ``'fog 3'``.

    Raises:
        UsageError: The config is not a classifier's, an option is out of range, or the config's classes are in
            another order than in training.
        FileNotFoundError: The checkpoint does not exist.
        CheckpointError: The checkpoint cannot be read.
        DataError: An image is missing or truncated.
    """
    check_minimum("steps", steps, 1)
    strengths = {each: CLEAN if each == "0" else f"{attack} {each}" for each in ("0", *eps)}
    try:
        bounds = {name: 255 * float(parse_eps(each)) for each, name in strengths.items()} if attack else {}
        for corruption, severity in itertools.product(corruptions, severities):
            CommonCorruption(corruption, severity)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if attack is not None:
        check_option("attack", attack, ATTACKS)
    if len(set(bounds.values())) < len(bounds):
        raise UsageError(f"eps should be different strengths, such as 2/255 8/255, got {' '.join(eps)}")
    if out is not None and Path(out).is_file():
        raise UsageError(f"out should be a folder, got the file {out}")
    cfg = load_config(config, work_dir, dict(cfg_options or {}), launcher)
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"checkpoint {checkpoint} does not exist; give the weights for {config}")
    if not (cfg.get("default_scope") == "mmpretrain" and cfg.get("test_dataloader") and cfg.model.get("head")):
        raise UsageError(f"config {config} should be of an mmpretrain classifier, with a test_dataloader")
    dataset = cfg.test_dataloader.dataset
    if corruptions and "pipeline" not in dataset and not _in_memory(dataset):
        raise UsageError(f"test_dataloader.dataset should have a pipeline to add corruptions to, got {dataset.type}")
    with errors_of_config():
        notes = prepare_test(cfg, checkpoint)
    figures: dict[str, dict[str, float]] = {}
    if attack is not None:
        flat = _test(cfg, dict(type="AttackTestLoop", attack=attack, eps=list(strengths), steps=steps), notes=notes)
        for each, name in strengths.items():
            prefix = f"{attack}_{each}/"
            figures[name] = {key[len(prefix) :]: flat[key] for key in flat if key.startswith(prefix)}
    else:
        figures[CLEAN] = _test(cfg, notes=notes)
    for corruption in corruptions:
        for severity in severities:
            figures[f"{corruption} {severity}"] = _test(cfg, corruption=(corruption, severity))
    if out is not None and is_main_process():
        given = dict(config=str(config), checkpoint=str(checkpoint), attack=attack, steps=steps)
        write_json(Path(out) / "robustness.json", dict(**given, figures=figures))
        if attack is not None:
            draw_curve(figures, bounds, attack, Path(out) / "robustness.png")
    return figures


def _in_memory(dataset: Mapping[str, Any]) -> bool:
    return str(dataset["type"]).endswith("InMemoryDataset")


def _test(
    cfg: Config,
    loop: Mapping[str, Any] | None = None,
    corruption: tuple[str, int] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, float]:
    """Run a test with this loop, or on images with a corruption of this name and severity; ``notes`` are logged."""
    cfg = copy.deepcopy(cfg)  # Config.copy is shallow
    # mmengine stores loggers and the message hub under this name; a second test would get the first one's.
    cfg.experiment_name = f"robustness_{next(_tests)}"
    for name in _TRAINING:
        cfg[name] = None
    if loop is not None:
        cfg.test_cfg = loop
    dataset = cfg.test_dataloader.dataset
    in_memory = _in_memory(dataset)
    if corruption is not None and not in_memory:
        step = dict(type="CommonCorruption", channel_order=loaded_order(dataset))
        # Before the images are packed.
        dataset.pipeline.insert(len(dataset.pipeline) - 1, dict(step, name=corruption[0], severity=corruption[1]))
    with errors_of_config():
        runner = build_runner(cfg, tests=True)
        for note in notes:
            runner.logger.warning(note)
        if corruption is not None and in_memory:
            corrupt_in_memory(runner.test_loop.dataloader.dataset, CommonCorruption(*corruption, "rgb"))
        metrics: dict[str, float] = runner.test()
    return metrics


def format_table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Format the metrics as a Markdown table with a row for each test."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    rows = [[test, *(f"{row[name]:.2f}" if name in row else "" for name in names)] for test, row in figures.items()]
    return markdown_table(["test", *(f"{name} %" for name in names)], rows, "lr")


def draw_curve(
    figures: Mapping[str, Mapping[str, float]], bounds: Mapping[str, float], attack: str, path: Path
) -> None:
    """Plot the accuracy over the largest change of a pixel, of 255, by name of the test, to a PNG file."""
    from matplotlib.figure import Figure

    tests = sorted(bounds, key=bounds.__getitem__)
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for metric in figures[CLEAN]:
        axes.plot([bounds[test] for test in tests], [figures[test][metric] for test in tests], "o-", label=metric)
    axes.set(xlabel=f"largest change of a pixel by {attack.upper()}, of 255", ylabel="accuracy (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path, dpi=150)
