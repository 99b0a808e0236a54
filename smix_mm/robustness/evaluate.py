"""From a config and a checkpoint to a table of accuracies under attack or corruption."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Mapping, Sequence

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process

from ..engine.launch import build_runner, load_config
from ..utils.errors import UsageError
from ..utils.files import atomic_path, write_json
from .attacks import parse_eps

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
        config: of a classifier of mmpretrain.
        checkpoint: its weights.
        attack: ``'fgsm'``, ``'pgd'``, ``'apgd'``, or None for none.
        eps: strengths of the attack, shares of 255 such as ``'8/255'``.
        steps: of an attack that takes several.
        corruptions: names of ImageNet-C's corruptions.
        severities: of each of them, 1 to 5.
        work_dir: where logs go.
        out: folder for ``robustness.json`` and, where there was an attack, ``robustness.png``.
        cfg_options: settings by dotted name, laid over the config.
        launcher: how several processes were started.

    Returns:
        figures such as ``{'accuracy/top1': 76.1}`` by test: ``'clean'``, ``'fgsm 8/255'``, ``'fog 3'``.

    Raises:
        UsageError: the config is no classifier's, or an option is not as above.
        FileNotFoundError, CheckpointError: the checkpoint is not there, or cannot be read.
    """
    cfg = load_config(config, work_dir, dict(cfg_options or {}), launcher)
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"checkpoint {checkpoint} is not there; wanted the weights of {config}")
    if not _is_classifier(cfg):
        raise UsageError(f"{config} is no classifier's config; wanted one of mmpretrain's with a test_dataloader")
    cfg.load_from, cfg.resume = str(checkpoint), False
    figures: dict[str, dict[str, float]] = {}
    strengths = list(dict.fromkeys(("0", *eps))) if attack is not None else []
    try:
        for each in strengths:
            parse_eps(each)
        if attack is not None:
            loop = dict(type="AttackTestLoop", attack=attack, eps=strengths, steps=steps)
            flat = _test(cfg, loop, None)
            for each in strengths:
                prefix = f"{attack}_{each}/"
                name = CLEAN if each == "0" else f"{attack} {each}"
                figures[name] = {n[len(prefix) :]: v for n, v in flat.items() if n.startswith(prefix)}
        else:
            figures[CLEAN] = _test(cfg, None, None)
        for corruption in corruptions:
            for severity in severities:
                transform = dict(type="CommonCorruption", name=corruption, severity=severity)
                figures[f"{corruption} {severity}"] = _test(cfg, None, transform)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if out is not None and is_main_process():
        given = dict(config=str(config), checkpoint=str(checkpoint), attack=attack, steps=steps)
        write_json(Path(out) / "robustness.json", dict(**given, figures=figures))
        if attack is not None:
            draw_curve(figures, attack, Path(out) / "robustness.png")
    return figures


def _is_classifier(cfg: Config) -> bool:
    return bool(cfg.get("default_scope") == "mmpretrain" and cfg.get("test_dataloader") and cfg.model.get("head"))


def _test(cfg: Config, loop: Mapping[str, Any] | None, transform: Mapping[str, Any] | None) -> dict[str, float]:
    """One test with another loop, or with a transform before the images are packed."""
    cfg = cfg.copy()
    # mmengine keeps what it makes under this name, and would give the first test's to the second.
    cfg.experiment_name = f"robustness_{next(_tests)}"
    for name in _TRAINING:
        cfg[name] = None
    if loop is not None:
        cfg.test_cfg = ConfigDict(loop)
    if transform is not None:
        pipeline = cfg.test_dataloader.dataset.pipeline
        pipeline.insert(len(pipeline) - 1, ConfigDict(transform))
    metrics: dict[str, float] = build_runner(cfg).test()
    return metrics


def format_table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """A line a test, in percent."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    lines = [f"| test | {' | '.join(f'{name} %' for name in names)} |", "| --- |" + " ---: |" * len(names)]
    for test, row in figures.items():
        cells = [f"{row[name]:.2f}" if name in row else "" for name in names]
        lines.append(f"| {test} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_curve(figures: Mapping[str, Mapping[str, float]], attack: str, path: Path) -> None:
    """Accuracy over the attack's strength, as PNG."""
    from matplotlib.figure import Figure

    strengths = {name: "0" if name == CLEAN else name.partition(" ")[2] for name in figures}
    rows = [(parse_eps(eps), name) for name, eps in strengths.items() if name == CLEAN or name.startswith(f"{attack} ")]
    rows.sort()
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for metric in dict.fromkeys(name for _, row in rows for name in figures[row]):
        axes.plot([255 * float(eps) for eps, _ in rows], [figures[row][metric] for _, row in rows], "o-", label=metric)
    axes.set_xlabel(f"largest change of a pixel by {attack.upper()}, of 255")
    axes.set_ylabel("accuracy (%)")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
