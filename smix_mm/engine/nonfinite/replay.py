"""Replaying a saved batch: the same weights, random state and data give the same loss."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from ...transfer.checkpoint import read_checkpoint
from ...utils.config import read_config
from ...utils.errors import CheckpointError
from ...utils.random_state import set_random_state
from ...utils.text import first_few
from ..launch import build_model
from .batches import image_files, read_batch
from .report import as_floats, bad_parameters, float_tensors, images_of, is_finite, kind_of, suspects, trained_weights

_SHOWN = 3


@dataclass(frozen=True)
class Replay:
    """The result of a replay.

    Attributes:
        iteration, rank: Iteration of the batch, counted from 1 as in the log, and rank of the process that saved it.
        config, checkpoint: The files that were used.
        files: The image file of each sample, in order.
        saved, losses: The losses by name and their sum ``loss``, when the batch was saved and in the replay.
        findings: Non-finite values and boxes without area, in the order of the training step.
    """

    iteration: int
    rank: int
    config: str
    checkpoint: str
    files: list[str]
    saved: dict[str, float]
    losses: dict[str, float]
    findings: list[str]

    @property
    def same(self) -> bool:
        """Whether all losses are equal to the saved ones, to the bit."""
        saved, losses = ({name: repr(value) for name, value in each.items()} for each in (self.saved, self.losses))
        return saved == losses


def replay_batch(
    path: str | Path,
    *,
    config: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str | None = None,
) -> Replay:
    """Compute the losses of a batch that was saved at a non-finite loss.

    The model is built from the config with the weights saved at the stop, and gets the batch with the random state of
    that time, so that mixing and dropout are the same. On a CPU the losses are equal to the bit; on a GPU only with
    deterministic algorithms. With ``SyncBatchNorm`` they differ, because the other processes' batches are missing.

    Args:
        path: A file ``nonfinite/iter_N_rankR.pt`` of a work dir.
        config: Defaults to None, for the config that training has written to the work dir.
        checkpoint: Defaults to None, for the checkpoint saved at the stop.
        device: Defaults to None, for ``'cuda'`` if there is a GPU, else ``'cpu'``.

    Raises:
        FileNotFoundError: A file does not exist.
        CheckpointError: A file is damaged, is of another kind, or does not fit the config.
    """
    saved = read_batch(path)
    work_dir = Path(path).resolve().parent.parent
    config = _find(config, work_dir, saved["config"], "config")
    if checkpoint is None and saved["checkpoint"] is None:
        raise CheckpointError(
            f"{path} has no weights to run with, because {first_few(saved['bad_parameters'], _SHOWN) or 'they'} were "
            "the cause; give those of an earlier checkpoint with --checkpoint"
        )
    checkpoint = _find(checkpoint, work_dir, saved["checkpoint"], "checkpoint")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    cfg = read_config(config)
    model = build_model(cfg).to(device).train()
    try:
        # Not their moving average (EMA).
        model.load_state_dict(trained_weights(read_checkpoint(checkpoint)))
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint} does not fit the config's model: {str(error).splitlines()[-1]}") from error
    try:
        # For its precision; its step does nothing.
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    except AssertionError as error:
        raise CheckpointError(f"the config's optim_wrapper cannot be used on this machine: {error}") from error
    wrapper.update_params = lambda *arguments, **options: None
    files = image_files(saved["batch"])
    findings = list(suspects(saved["batch"], files))
    if bad := bad_parameters(model):
        findings.insert(0, f"the weights: {first_few(bad, _SHOWN)}")
    threads = torch.get_num_threads()
    # Because sums over threads depend on their number.
    torch.set_num_threads(saved["threads"])
    try:
        with _watch(model, files, findings):
            set_random_state(model, saved["random"])
            log_vars = model.train_step(saved["batch"], wrapper)
    finally:
        torch.set_num_threads(threads)
    losses = as_floats(log_vars)
    if not findings and not math.isfinite(losses.get("loss", 0.0)):
        findings.append("the losses themselves, although the outputs of all modules are finite")
    return Replay(
        iteration=saved["iteration"],
        rank=saved["rank"],
        config=str(config),
        checkpoint=str(checkpoint),
        files=files,
        saved=saved["losses"],
        losses=losses,
        findings=findings,
    )


def _find(given: str | Path | None, work_dir: Path, name: str, what: str) -> Path:
    """The given file, or the one of this name in the work dir."""
    candidates = [Path(given)] if given is not None else [work_dir / Path(name).name, Path(name)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{what} {candidates[0]} does not exist; give another one with --{what}")
    return path


@contextmanager
def _watch(model: nn.Module, files: list[str], findings: list[str]) -> Iterator[None]:
    """Add the first module in the forward pass with a non-finite output to ``findings``."""
    before = len(findings)

    def check(name: str, output: Any) -> None:
        bad = [tensor for tensor in float_tensors(output) if not is_finite(tensor)]
        if bad and len(findings) == before:
            findings.append(f"the output of {name} ({kind_of(bad[0])}){images_of(bad[0], files)}")

    handles = [
        module.register_forward_hook(lambda _module, _given, output, name=name: check(name, output))
        for name, module in model.named_modules()
        if name  # not the model itself, which returns the losses
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
