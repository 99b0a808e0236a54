"""Reading mmengine configs."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.config import Config


def read_config(path: str | Path) -> Config:
    """Read a config without mmengine's remarks about it."""
    logging.disable(logging.INFO)
    try:
        return Config.fromfile(path)
    finally:
        logging.disable(logging.NOTSET)
