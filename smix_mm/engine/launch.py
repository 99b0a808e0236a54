"""Config, Runner and reported errors of training and testing."""

from __future__ import annotations

import os
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from ..utils.choices import LAUNCHERS, check_option
from ..utils.command_line import describe_error, run_command
from ..utils.config import find_config
from ..utils.errors import SmixError, UsageError
from ..utils.packages import OPENMMLAB
from .failures import describe_failure
from .safe_loading import load_safely


def load_config(
    config: str | Path, work_dir: str | Path | None, cfg_options: dict[str, Any] | None, launcher: str
) -> Config:
    """Read a config, override its settings, and add the defaults that OpenMMLab's own scripts add.

    Args:
        config: The file, see :func:`~smix_mm.utils.config.find_config`.
        work_dir: Folder for logs and checkpoints. Defaults to the config's ``work_dir``, else to
            ``work_dirs/<name of the config>``.
        cfg_options: Settings that override the config's, by dotted name.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        UsageError: The file does not exist, or the launcher is none of these.
    """
    path = find_config(config)
    if not path.is_file():
        raise UsageError(f"config {config} does not exist; give a config file, such as one in configs/")
    check_option("launcher", launcher, LAUNCHERS)
    cfg = Config.fromfile(path)
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(config).stem)
    if cfg.get("default_scope") == "mmpretrain":
        _fill_dataloaders(cfg)
    if launcher != "none" and not torch.cuda.is_available():
        _prepare_cpu_processes(cfg)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the config's Runner, which reads weights without unpickling, see :func:`load_safely`."""
    load_safely()
    _forget_visualizer((cfg.get("visualizer") or {}).get("name"))
    scope = cfg.get("default_scope")
    if scope in OPENMMLAB:
        # If this import fails, mmengine continues, and reports later that some class is not registered.
        import_module(f"{scope}.registry")
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


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


def _export_ranks(launcher: str) -> None:
    """Copy the ranks that Slurm or MPI has set to the environment variables that torch reads."""
    names = {
        "slurm": dict(RANK="SLURM_PROCID", WORLD_SIZE="SLURM_NTASKS", LOCAL_RANK="SLURM_LOCALID"),
        "mpi": dict(
            RANK="OMPI_COMM_WORLD_RANK",
            WORLD_SIZE="OMPI_COMM_WORLD_SIZE",
            LOCAL_RANK="OMPI_COMM_WORLD_LOCAL_RANK",
        ),
    }.get(launcher, {})
    for target, source in names.items():
        if source not in os.environ:
            raise UsageError(f"with launcher {launcher!r}, {source} should be set; start the processes by {launcher}")
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


def report_errors(command: Callable[[], object]) -> int:
    """Run a command; errors that the user can fix, and known failures, are printed to stderr without a traceback.

    See :func:`~smix_mm.utils.command_line.run_command` and :func:`~smix_mm.engine.failures.describe_failure`. The
    process group is destroyed in any case.

    Returns:
        The exit status: 0, that of a :class:`~smix_mm.utils.errors.SmixError` (most often 2), 2 for a missing file or
        package, 1 for a known failure, or 130 for Ctrl-C.
    """

    def run() -> None:
        command()

    try:
        return run_command(run, describe=_describe)
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def _describe(error: BaseException) -> tuple[str, int] | None:
    if isinstance(error, FileNotFoundError):
        return _missing(error), 2
    failure = None if isinstance(error, SmixError) else describe_failure(error)
    return failure or describe_error(error)


def _missing(error: FileNotFoundError) -> str:
    # One of the system's own errors, whose message only names the file.
    if error.filename is None:
        return str(error)
    return (
        f"{error.filename} does not exist, but the config names it; prepare the data with tools/prepare_data.py, or "
        "set the variable SMIX_... from which the config takes its folder"
    )
