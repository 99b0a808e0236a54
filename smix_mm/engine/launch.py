"""From a config file and options to a Runner, for training and testing alike."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..utils.choices import LAUNCHERS
from ..utils.config import find_config
from ..utils.errors import CheckpointError, DataError, UsageError
from ..utils.packages import OPENMMLAB
from .failures import describe_failure
from .safe_loading import load_safely


def load_config(
    config: str | Path, work_dir: str | Path | None, cfg_options: dict[str, Any] | None, launcher: str
) -> Config:
    """Read a config, lay options over it and fill what OpenMMLab's own scripts fill.

    Args:
        config: the file; ``configs/...`` is also found from another folder, in this package.
        work_dir: where logs and checkpoints go. Defaults to the config's own ``work_dir``,
            else ``work_dirs/<name of the config>``.
        cfg_options: settings by dotted name, laid over the config.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        UsageError: there is no such file or launcher.
    """
    path = find_config(config)
    if not path.is_file():
        raise UsageError(f"config {config} is not there; wanted a config file, such as one under configs/")
    if launcher not in LAUNCHERS:
        raise UsageError(f"launcher is {launcher!r}; wanted one of {', '.join(LAUNCHERS)}")
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
    """The config's own kind of Runner, which reads weights without unpickling, see :func:`load_safely`."""
    load_safely()
    scope = cfg.get("default_scope")
    if scope in OPENMMLAB:
        # Where this fails, mmengine goes on, and says of some class that it is not registered.
        import_module(f"{scope}.registry")
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def _fill_dataloaders(cfg: Config) -> None:
    """The defaults of mmpretrain's own scripts, which its configs count on."""
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
    """Let several processes train without a GPU, where mmengine would ask for one each."""
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
    """Put what Slurm or MPI says of this process under the names that torch reads."""
    names = {
        "slurm": dict(RANK="SLURM_PROCID", WORLD_SIZE="SLURM_NTASKS", LOCAL_RANK="SLURM_LOCALID"),
        "mpi": dict(
            RANK="OMPI_COMM_WORLD_RANK",
            WORLD_SIZE="OMPI_COMM_WORLD_SIZE",
            LOCAL_RANK="OMPI_COMM_WORLD_LOCAL_RANK",
        ),
    }.get(launcher, {})
    for wanted, given in names.items():
        if given not in os.environ:
            raise UsageError(f"launcher is {launcher!r}, but {given} is not set; wanted a start through {launcher}")
        os.environ[wanted] = os.environ[given]
    if launcher == "slurm" and "MASTER_ADDR" not in os.environ:
        nodes = subprocess.run(
            ["scontrol", "show", "hostnames", os.environ["SLURM_NODELIST"]], capture_output=True, text=True, check=True
        )
        os.environ["MASTER_ADDR"] = nodes.stdout.split()[0]
    if launcher != "none":
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29500")


def export_local_rank(local_rank: int) -> None:
    """mmengine reads the local rank from the environment alone."""
    os.environ.setdefault("LOCAL_RANK", str(local_rank))


def report_errors(command: Callable[[], object]) -> int:
    """Run a command; a mistake of the user's ends in one sentence and exit status 2.

    What stops a run from outside ends in one sentence too, with exit status 1, or 130 for Ctrl-C.
    """
    try:
        command()
    except (UsageError, CheckpointError) as error:
        return _say(str(error), 2)
    except FileNotFoundError as error:
        return _say(_missing(error), 2)
    except DataError as error:
        # One that comes from a data worker carries its traceback.
        return _say(str(error).strip().splitlines()[-1].rpartition("DataError: ")[2], 2)
    except BaseException as error:
        failure = describe_failure(error)
        if failure is None:
            raise
        return _say(*failure)
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
    return 0


def _missing(error: FileNotFoundError) -> str:
    """The system's own words name the file alone."""
    if error.filename is None:
        return str(error)
    return (
        f"{error.filename} is not there; wanted what the config names: fetch data with tools/prepare_data.py, or set "
        "the variable SMIX_... that the config reads their place from"
    )


def _say(sentence: str, status: int) -> int:
    print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    return status
