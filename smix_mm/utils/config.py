"""Finding and reading mmengine configs."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.config import Config


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


def read_config(path: str | Path) -> Config:
    """Read a config without mmengine's log messages about it."""
    logging.disable(logging.INFO)
    try:
        return Config.fromfile(path)
    finally:
        logging.disable(logging.NOTSET)
