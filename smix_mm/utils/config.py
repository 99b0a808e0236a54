"""Finding and reading mmengine configs."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.config import Config


def find_config(path: str | Path) -> Path:
    """The config itself, or, where ``configs/...`` is not in this folder, this package's own of that name."""
    own = Path(__file__).parents[1] / ".mim" / path
    if Path(path).parts[:1] != ("configs",) or Path(path).exists():
        return Path(path)
    return own if own.is_file() else Path(__file__).parents[2] / path


def read_config(path: str | Path) -> Config:
    """Read a config without mmengine's remarks about it."""
    logging.disable(logging.INFO)
    try:
        return Config.fromfile(path)
    finally:
        logging.disable(logging.NOTSET)
