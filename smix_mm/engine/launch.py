"""Config, Runner and processes of training and testing."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Iterator, TypeVar

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.registry import MODELS, RUNNERS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from mmengine.visualization import Visualizer
from torch import nn

from ..transfer.checkpoint import read_checkpoint, state_dict_of
from ..utils.choices import LAUNCHERS, check_option
from ..utils.command_line import describe_failure
from ..utils.config import read_config
from ..utils.errors import CheckpointError, SmixError, UsageError
from ..utils.packages import OPENMMLAB, describe_import_error, reason_of
from ..utils.tensors import unwrapped
from ..utils.text import first_few
from .safe_loading import load_safely, load_torchvision_classifier

T = TypeVar("T")


def load_config(
    config: str | Path, work_dir: str | Path | None, cfg_options: dict[str, Any] | None, launcher: str
) -> Config:
    """Read a config, override its settings, and add the defaults that OpenMMLab's own scripts add.

    Arguments are those of :func:`~smix_mm.engine.train.train`; for ``config``, see
    :func:`~smix_mm.utils.config.find_config`.

    Raises:
        UsageError: The config cannot be read, or the launcher is none of these or did not start this process.
    """
    check_option("launcher", launcher, LAUNCHERS)
    cfg = read_config(config, cfg_options)
    if cfg.get("model") is None:
        raise UsageError(f"config {config} should have a model; give a config of mmpretrain or MMDetection")
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(cfg.filename).stem)
    if cfg.get("default_scope") == "mmpretrain":
        _fill_dataloaders(cfg)
    if launcher != "none" and not torch.cuda.is_available():
        _prepare_cpu_processes(cfg)
    return cfg


def check_parameters(model: nn.Module, file: str, every: bool = True) -> None:
    """Refuse a checkpoint that lacks some of a model's parameters, or with ``every=False`` all; mmengine only warns.

    Raises:
        CheckpointError: The file cannot be read, or lacks parameters.
    """
    given = {re.sub(r"^module\.", "", name): value for name, value in state_dict_of(read_checkpoint(file)).items()}
    own = dict(unwrapped(model).named_parameters())
    bad = [name for name, value in own.items() if getattr(given.get(name), "shape", None) != value.shape]
    if bad and (every or len(bad) == len(own)):
        raise CheckpointError(
            f"{file} should hold the model's {len(own)} parameters, but {len(bad)} are missing or of another shape "
            f"({first_few(bad, 3)}); give a checkpoint that a training with this config wrote"
        )


def build_runner(cfg: Config, tests: bool = False) -> Runner:
    """Build the config's Runner, which reads weights without unpickling, see :func:`load_safely`.

    Args:
        cfg: The config.
        tests: Whether every parameter should be in the file ``cfg.load_from``, also under torchvision's names; mmengine
            only warns, and uses random ones. Otherwise, one of them should be, since a training may start from a part
            of a model.

    Raises:
        CheckpointError: The file cannot be read, or does not fit the model.
    """
    load_safely()
    _forget_visualizer((cfg.get("visualizer") or {}).get("name"))
    scope = cfg.get("default_scope")
    if scope in OPENMMLAB:
        # If this import fails, mmengine continues, and reports later that some class is not registered.
        import_module(f"{scope}.registry")
    if scope == "mmpretrain":
        _check_batch_augments(cfg)
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    file = cfg.get("load_from")
    loaded = tests and load_torchvision_classifier(runner)
    if file and not loaded and not cfg.get("resume") and "://" not in file:
        check_parameters(runner.model, file, every=tests)
    return runner


def _check_batch_augments(cfg: Config) -> None:
    """Build mmpretrain's batch augmentations once, because the Runner writes to the work dir before it refuses them."""
    from mmpretrain.models import RandomBatchAugment

    from ..preflight.settings import preprocessor_of

    augments = preprocessor_of(cfg)[1].get("batch_augments")
    if isinstance(augments, dict):
        RandomBatchAugment(**copy.deepcopy(augments))  # it changes the list of probabilities


def build_model(cfg: Config) -> Any:
    """Build the config's model on the CPU, without its Runner and weights."""
    load_safely()
    init_default_scope(cfg.get("default_scope") or "mmengine")
    settings = dict(cfg.model)
    if cfg.get("data_preprocessor") is not None:
        settings.setdefault("data_preprocessor", cfg.data_preprocessor)
    return MODELS.build(settings)


def _forget_visualizer(name: str | None) -> None:
    """Forget the visualizer of an earlier Runner of this process, which logs into that Runner's folder.

    MMDetection's configs give every visualizer the same name, and mmengine returns the existing one.
    """
    classes: list[Any] = [Visualizer]
    for found in classes:
        found._instance_dict.pop(name, None)
        classes += found.__subclasses__()


def _fill_dataloaders(cfg: Config) -> None:
    """Add the defaults of mmpretrain's own scripts, which its configs rely on."""
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if cfg.get(name) is not None:
            defaults = ConfigDict(
                pin_memory=torch.cuda.is_available(),
                persistent_workers=cfg[name].get("num_workers", 0) > 0,
                collate_fn=dict(type="default_collate"),
            )
            defaults.update(cfg[name])
            cfg[name] = defaults


def _prepare_cpu_processes(cfg: Config) -> None:
    """Let several processes train without a GPU; mmengine assumes one for each."""
    _export_ranks(cfg.launcher)
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    wrapper = cfg.get("model_wrapper_cfg") or dict(
        type="MMDistributedDataParallel",
        broadcast_buffers=False,
        find_unused_parameters=cfg.get("find_unused_parameters", False),
    )
    cfg.model_wrapper_cfg = {**wrapper, "device_ids": None}


def join_processes(cfg: Config) -> None:
    """Let the processes of a launcher find each other, which mmengine's Runner does later otherwise."""
    if cfg.launcher == "none" or is_distributed():
        return
    _export_ranks(cfg.launcher)
    environment = cfg.get("env_cfg") or {}
    # In the order of the Runner, because it affects how mmengine starts workers.
    set_multi_processing(**environment.get("mp_cfg", {}), distributed=True)
    init_dist(cfg.launcher, **environment.get("dist_cfg", {}))


def on_main_process(work: Callable[[], T]) -> T:
    """Run ``work`` on the main process; all processes return its result, or raise its :class:`SmixError`."""
    result: list[Any] = [None]
    if is_main_process():
        try:
            result = [work()]
        except SmixError as error:
            result = [error]
    broadcast_object_list(result)
    if isinstance(result[0], SmixError):
        raise result[0]
    return result[0]


def _export_ranks(launcher: str) -> None:
    """Copy the ranks that Slurm or MPI has set to the environment variables that torch reads."""
    names = {
        "pytorch": dict(RANK="RANK", WORLD_SIZE="WORLD_SIZE"),
        "slurm": dict(RANK="SLURM_PROCID", WORLD_SIZE="SLURM_NTASKS", LOCAL_RANK="SLURM_LOCALID"),
        "mpi": dict(
            RANK="OMPI_COMM_WORLD_RANK",
            WORLD_SIZE="OMPI_COMM_WORLD_SIZE",
            LOCAL_RANK="OMPI_COMM_WORLD_LOCAL_RANK",
        ),
    }.get(launcher, {})
    for target, source in names.items():
        if source not in os.environ:
            raise UsageError(
                f"with launcher {launcher!r}, {source} should be set; start the processes by "
                f"{'torchrun' if launcher == 'pytorch' else launcher}"
            )
        os.environ[target] = os.environ[source]
    if launcher == "slurm" and "MASTER_ADDR" not in os.environ:
        nodes = subprocess.run(
            ["scontrol", "show", "hostnames", os.environ["SLURM_NODELIST"]], capture_output=True, text=True, check=True
        )
        os.environ["MASTER_ADDR"] = nodes.stdout.split()[0]
    if launcher != "none":
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29500")


def export_local_rank(local_rank: int) -> None:
    """Set the environment variable ``LOCAL_RANK``, unless it is set; mmengine reads no other source."""
    os.environ.setdefault("LOCAL_RANK", str(local_rank))


@contextmanager
def errors_of_config(started: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Convert the error of something that the config describes and that cannot be built to a UsageError.

    Args:
        started: Whether the first batch has been read; after that, only a missing file is converted.
    """
    try:
        yield
    except FileNotFoundError as error:
        # Without a file name, it is not one of the system's own errors.
        if error.filename is None:
            raise
        raise UsageError(
            f"{error.filename} does not exist, but the config names it; prepare the data with tools/prepare_data.py, "
            "or set the variable SMIX_... from which the config takes its folder"
        ) from error
    except Exception as error:
        known = isinstance(error, SmixError) or describe_import_error(error) or describe_failure(error)
        if known or started() or (isinstance(error, OSError) and error.filename):
            raise
        raise UsageError(f"the config cannot be used: {reason_of(error)}") from error
