"""Finding and reading mmengine configs."""

from __future__ import annotations

import logging
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Mapping

from mmengine.config import Config

from .errors import SmixError, UsageError
from .packages import describe_import_error, reason_of

_DICTS = (
    "model", "data_preprocessor", "train_cfg", "val_cfg", "test_cfg", "optim_wrapper", "default_hooks",
    "train_dataloader", "val_dataloader", "test_dataloader", "env_cfg", "randomness", "auto_scale_lr",
)  # fmt: skip
# Further settings that a config may lack, and mmengine reads.
_OTHERS = (
    "custom_hooks", "custom_imports", "load_from", "resume", "work_dir", "launcher", "log_level", "log_processor",
    "visualizer", "vis_backends", "default_scope", "experiment_name", "runner_type", "model_wrapper_cfg", "compile",
    "val_evaluator", "test_evaluator", "param_scheduler", "find_unused_parameters", "sync_bn",
    "activation_checkpointing", "efficient_conv_bn_eval", "tta_model", "tta_pipeline",
)  # fmt: skip
_AUGMENT = "data_preprocessor.batch_augments.augments"
# Settings of a batch augmentation that depend on the data, by the number of classes.
_AUGMENTS_OF = {100: "_cifar100", 200: "_imagenet", 1000: "_imagenet"}


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


def read_config(path: str | Path, cfg_options: Mapping[str, Any] | None = None) -> Config:
    """Read a config without mmengine's log messages about it, and override its settings.

    Args:
        path: The config file, see :func:`find_config`.
        cfg_options: Settings by dotted name. ``augment``, the name of a batch augmentation, puts it on a classifier
            without one; ``augment.NAME`` is an option of the config's batch augmentation.

    Raises:
        UsageError: The file does not exist, cannot be read, or has a setting of another kind than expected; or
            there is no such augmentation.
    """
    found = find_config(path)
    if not found.is_file():
        what = "is a folder" if Path(path).is_dir() else "does not exist"
        raise UsageError(f"config {path} {what}; give a config file, such as one in configs/")
    logging.disable(logging.INFO)
    try:
        cfg = Config.fromfile(found)
        known = {*cfg, *_DICTS, *_OTHERS}
        cfg_options = dict(cfg_options or {})
        if (augment := cfg_options.pop("augment", None)) is not None:
            cfg = _with_augment(cfg, str(augment))
        options_of_augment = [name for name in cfg_options if name.startswith("augment.")]
        if options_of_augment and not (cfg.get("data_preprocessor") or {}).get("batch_augments"):
            raise UsageError(
                f"{options_of_augment[0]} needs a batch augmentation, which {path} lacks; add augment=NAME"
            )
        cfg_options = {re.sub(r"^augment(?=\.)", _AUGMENT, name): value for name, value in cfg_options.items()}
        cfg.merge_from_dict(cfg_options)
    except Exception as error:  # a config is Python code, which can raise any error
        if isinstance(error, SmixError) or describe_import_error(error):
            raise
        fix = "; add _delete_=True to the new dict, which replaces that of the base" if "_delete_" in str(error) else ""
        key = str(error).partition("=")[0]
        option = next((name for name in cfg_options or () if fix and f".{key}." in name), "")
        if option:
            owner = f"{option.partition(f'.{key}.')[0]}.{key}"
            fix = f"; add the option {owner}._delete_=True, and all other keys of the new dict, such as {owner}.type"
        raise UsageError(f"config {path} cannot be read: {reason_of(error)}{fix}") from error
    finally:
        logging.disable(logging.NOTSET)
    for option in cfg_options:
        if (name := option.partition(".")[0]) not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else "a setting that the config lacks would change nothing"
            raise UsageError(f"config {path} has no setting {name}, which the option {option} changes; {hint}")
    for name in _DICTS:
        if not isinstance(cfg.get(name), (dict, type(None))):
            raise UsageError(f"{name} in config {path} should be a dict, got {cfg[name]!r}")
        dataset = (cfg.get(name) or {}).get("dataset") if name.endswith("_dataloader") else None
        if not isinstance(dataset, (dict, type(None))):
            raise UsageError(f"{name}.dataset in config {path} should be a dict, got {dataset!r}")
    return cfg


def _with_augment(cfg: Config, name: str) -> Config:
    """A config with a batch augmentation of ``configs/_base_/augments``, as the config of that name has it.

    Its mean and std are the data preprocessor's. In the config's file name, the augmentation replaces "baseline".
    """
    preprocessor: Any = cfg.get("data_preprocessor") or {}
    mixed = preprocessor.get("batch_augments") or ((cfg.get("model") or {}).get("train_cfg") or {}).get("augments")
    if not {"mean", "std"} <= {*preprocessor} or mixed:
        raise UsageError(
            f"augment={name} needs the config of a classifier without batch augmentation, with mean and std in "
            "data_preprocessor; give a config such as configs/cifar10/resnet18_baseline_cifar10.py"
        )
    ending = _AUGMENTS_OF.get(preprocessor.get("num_classes"), "")
    files = {path.stem: path for path in find_config("configs/_base_/augments/cutmix.py").parent.glob("*.py")}
    file = files.get(f"{name}{ending}", files.get(name))
    if file is None:
        raise UsageError(f"augment should be one of {', '.join(sorted(files))}, got {name}")
    augment = Config.fromfile(file)
    preprocessor.batch_augments = augment.batch_augments
    if "mean" in augment.batch_augments.augments:
        augment.batch_augments.augments.update(mean=preprocessor.mean, std=preprocessor.std)
    cfg.merge_from_dict(dict(model=augment.get("model", {})))
    file = Path(cfg.filename)
    stem = file.stem.replace("baseline", name) if "baseline" in file.stem else f"{file.stem}_{name}"
    return Config(cfg.to_dict(), cfg.text, str(file.with_name(f"{stem}.py")), cfg.env_variables)
