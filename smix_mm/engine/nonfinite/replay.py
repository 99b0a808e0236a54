"""Running a saved batch again: the same weights, random state and data give the same loss."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...transfer.checkpoint import read_checkpoint
from ...utils.config import read_config
from ...utils.errors import CheckpointError
from ...utils.random_state import set_random_state
from .batch_file import image_files, read_batch


@dataclass(frozen=True)
class Replay:
    """What came out of a batch that was run again.

    Attributes:
        iteration: the iteration that it stopped, counted from 1 as in the log.
        rank: the process whose batch it is.
        config: the config file that was used.
        checkpoint: the weights that were used.
        files: the image of each sample, in order.
        saved: each loss when the batch was kept, and their sum under ``loss``.
        losses: the same now.
        findings: where values are not finite, or boxes without area, in the order in which the
            training step meets them; empty where all is well.
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
        """Whether every loss is now what it was, to the bit."""
        return self.saved.keys() == self.losses.keys() and all(
            _equal(self.saved[name], self.losses[name]) for name in self.saved
        )


def replay_batch(
    path: str | Path,
    *,
    config: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str | None = None,
) -> Replay:
    """Run a batch that stopped a training once more, up to its losses.

    The model is built from the config (which is code, as any config is), gets the weights saved
    at the stop, and takes the batch with the random state of that moment, so that mixing and
    dropout are the same. On a CPU the losses are equal to the bit; on a GPU as far as its
    algorithms are deterministic. With ``SyncBatchNorm`` they differ, because the other
    processes' batches are missing.

    Args:
        path: ``nonfinite/iter_N_rankR.pt`` of a work dir.
        config: default: the one that training left in the work dir.
        checkpoint: default: the one saved at the stop, in the work dir.
        device: default ``'cuda'`` where there is a GPU, else ``'cpu'``.

    Raises:
        FileNotFoundError: a file is not there.
        CheckpointError: a file is damaged, or is not what it should be.
    """
    kept = read_batch(path)
    work_dir = Path(path).resolve().parent.parent
    config = _found(config, work_dir, kept["config"], "config")
    if checkpoint is None and kept["checkpoint"] is None:
        raise CheckpointError(
            f"{path} has no weights to run with, because {_listed(kept['bad_parameters'])} were not finite before it; "
            "wanted --checkpoint with weights that are"
        )
    checkpoint = _found(checkpoint, work_dir, kept["checkpoint"], "checkpoint")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    cfg = read_config(config)
    model = _build(cfg, checkpoint).to(device).train()
    wrapper = _forward_only(model, cfg)

    files = image_files(kept["batch"])
    findings = [*_in_parameters(model), *suspects(kept["batch"], files)]
    threads = torch.get_num_threads()
    # Sums over threads depend on how many there are.
    torch.set_num_threads(kept["threads"])
    try:
        with _watch(model, files, findings):
            set_random_state(model, kept["random"])
            log_vars = model.train_step(kept["batch"], wrapper)
    finally:
        torch.set_num_threads(threads)
    losses = as_floats(log_vars)
    if not findings and not math.isfinite(losses.get("loss", 0.0)):
        findings.append("the losses themselves, though every module's output is finite")
    return Replay(
        iteration=kept["iteration"],
        rank=kept["rank"],
        config=str(config),
        checkpoint=str(checkpoint),
        files=files,
        saved=kept["losses"],
        losses=losses,
        findings=findings,
    )


def _found(given: str | Path | None, work_dir: Path, name: str | None, what: str) -> Path:
    """The file that was given, else the named one in the work dir."""
    if given is None and not name:
        raise FileNotFoundError(f"the batch names no {what}; wanted --{what}")
    path = Path(given) if given is not None else work_dir / Path(str(name)).name
    if given is None and not path.is_file():
        path = Path(str(name))
    if not path.is_file():
        raise FileNotFoundError(f"{what} {path} is not there; wanted it, or another one with --{what}")
    return path


def _build(cfg: Config, checkpoint: Path) -> Any:
    """The model with the weights that were being trained, where EMA is used not their average."""
    init_default_scope(cfg.get("default_scope") or "mmengine")
    settings = dict(cfg.model)
    if cfg.get("data_preprocessor") is not None:
        settings.setdefault("data_preprocessor", cfg.data_preprocessor)
    model = MODELS.build(settings)
    content = read_checkpoint(checkpoint)
    state = dict(content.get("state_dict", {}))
    for name, value in content.get("ema_state_dict", {}).items():
        if name.startswith("module."):
            state[name[len("module.") :]] = value
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint} does not fit the config's model: {str(error).splitlines()[-1]}") from error
    return model


def _forward_only(model: nn.Module, cfg: Config) -> Any:
    """The config's optimiser wrapper, for the precision that it computes in; it takes no step."""
    try:
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    except AssertionError as error:
        raise CheckpointError(f"the config's optim_wrapper does not work on this machine: {error}") from error
    wrapper.update_params = lambda *arguments, **options: None
    return wrapper


@contextmanager
def _watch(model: nn.Module, files: list[str], findings: list[str]) -> Iterator[None]:
    """Note the first module in the forward pass whose output is not finite."""
    seen: list[str] = []

    def look(name: str, output: Any) -> None:
        bad = [] if seen else [tensor for tensor in _tensors(output) if not _finite(tensor)]
        if bad:
            seen.append(name)
            findings.append(f"the output of {name} ({_kind(bad[0])}){_images(bad[0], files)}")

    handles = [
        module.register_forward_hook(lambda _module, _given, output, name=name: look(name, output))
        for name, module in model.named_modules()
        if name  # the model's own output is the losses
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _in_parameters(model: nn.Module) -> Iterator[str]:
    bad = bad_parameters(model)
    if bad:
        yield f"the weights: {_listed(bad)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def bad_parameters(model: nn.Module) -> list[str]:
    """Names of the parameters and running statistics that are not finite everywhere."""
    named: dict[str, Tensor] = dict(model.named_parameters())
    named.update((name, buffer) for name, buffer in model.named_buffers() if ".running_" in f".{name}")
    return [name for name, tensor in named.items() if not _finite(tensor)]


def suspects(batch: Any, files: list[str]) -> Iterator[str]:
    """Images and annotations of a batch that are not finite, and boxes without area; ``files`` are its images."""
    inputs = batch.get("inputs") if isinstance(batch, dict) else None
    for tensor in _tensors(inputs):
        if tensor.dim() == 4 and not _finite(tensor):
            yield f"the batch itself ({_kind(tensor)}){_images(tensor, files)}"
    if isinstance(inputs, (list, tuple)):
        for image, file in zip(inputs, files):
            if isinstance(image, Tensor) and not _finite(image):
                yield f"the batch itself ({_kind(image)}), in {file}"
    samples = batch.get("data_samples") if isinstance(batch, dict) else None
    for sample, file in zip(samples or (), files):
        if any(not _finite(tensor) for tensor in _tensors(sample)):
            yield f"the annotations of {file}"
        boxes = _boxes(sample)
        if boxes is not None and bool((boxes[:, 2:] <= boxes[:, :2]).any()):
            yield f"boxes without area in {file}"


def _boxes(sample: Any) -> Tensor | None:
    boxes = getattr(getattr(sample, "gt_instances", None), "bboxes", None)
    boxes = getattr(boxes, "tensor", boxes)
    return boxes if isinstance(boxes, Tensor) and boxes.dim() == 2 and boxes.shape[1] == 4 else None


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every floating tensor in containers and samples."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, BaseDataElement):
        yield from _tensors(dict(value.items()))
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)
    elif isinstance(getattr(value, "tensor", None), Tensor):  # boxes
        yield from _tensors(value.tensor)


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _kind(tensor: Tensor) -> str:
    return "NaN" if bool(tensor.isnan().any()) else "infinity"


def _images(tensor: Tensor, files: list[str]) -> str:
    """The files whose rows of a tensor are not finite, where its rows are the samples and not all are bad."""
    if tensor.dim() < 2 or len(tensor) != len(files):
        return ""
    bad = (~torch.isfinite(tensor)).flatten(1).any(1).tolist()
    if all(bad) and len(bad) > 1:
        return ", in every image"
    return ", in " + ", ".join(file for file, is_bad in zip(files, bad) if is_bad)


def as_floats(log_vars: Mapping[str, Any]) -> dict[str, float]:
    """Losses and other figures of a training step as plain numbers."""
    return {name: float(value.detach() if isinstance(value, Tensor) else value) for name, value in log_vars.items()}


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
