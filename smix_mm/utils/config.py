"""Finding and reading mmengine configs."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .errors import SmixError, UsageError
from .packages import describe_import_error, reason_of

_DICTS = (
    "model", "data_preprocessor", "train_cfg", "val_cfg", "test_cfg", "optim_wrapper", "default_hooks",
    "train_dataloader", "val_dataloader", "test_dataloader", "env_cfg", "randomness",
)  # fmt: skip
# Further settings that a config may lack, and mmengine reads.
_OTHERS = (
    "custom_hooks", "custom_imports", "load_from", "resume", "work_dir", "launcher", "log_level", "log_processor",
    "visualizer", "vis_backends", "default_scope", "experiment_name", "runner_type", "model_wrapper_cfg", "compile",
    "val_evaluator", "test_evaluator", "param_scheduler", "auto_scale_lr", "find_unused_parameters", "sync_bn",
    "activation_checkpointing", "efficient_conv_bn_eval", "tta_model", "tta_pipeline",
)  # fmt: skip


def find_config(path: str | Path) -> Path:
    """Find a config file.

    Args:
        path: If it begins with ``configs/`` and does not exist below the working directory, the file of that name
            that is installed with this package is taken.

    Returns:
        The path, which may not exist.
    """
    installed = Path(__file__).parents[1] / ".mim" / path
    if Path(path).parts[:1] != ("configs",) or Path(path).exists():
        return Path(path)
    return installed if installed.is_file() else Path(__file__).parents[2] / path


def read_config(path: str | Path, cfg_options: dict[str, Any] | None = None) -> Config:
    """Read a config without mmengine's log messages about it, and override its settings.

    Raises:
        UsageError: The file does not exist, cannot be read, or has a setting of another kind than expected.
    """
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "does not exist"
        raise UsageError(f"config {path} {what}; give a config file, such as one in configs/")
    logging.disable(logging.INFO)
    try:
        cfg = Config.fromfile(path)
        known = {*cfg, *_DICTS, *_OTHERS}
        cfg.merge_from_dict(cfg_options or {})
    except Exception as error:  # a config is Python code, which can raise any error
        if isinstance(error, SmixError) or describe_import_error(error):
            raise
        fix = "; add _delete_=True to the new dict, which replaces that of the base" if "_delete_" in str(error) else ""
        raise UsageError(f"config {path} cannot be read: {reason_of(error)}{fix}") from error
    finally:
        logging.disable(logging.NOTSET)
    for option in cfg_options or {}:
        if (name := option.partition(".")[0]) not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else "a setting that the config lacks would change nothing"
            raise UsageError(f"config {path} has no setting {name}, which the option {option} changes; {hint}")
    for name in _DICTS:
        if not isinstance(cfg.get(name), (dict, type(None))):
            raise UsageError(f"{name} in config {path} should be a dict, got {cfg[name]!r}")
    return cfg
