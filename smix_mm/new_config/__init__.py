"""Short configs for a user's own images."""

from .config import BACKBONES, MIXES, new_config
from .layouts import Layout, find_layout

__all__ = ["BACKBONES", "MIXES", "Layout", "find_layout", "new_config"]
