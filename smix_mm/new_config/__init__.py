"""Short configs for a user's own images."""

from .config import new_config
from .layouts import Layout, find_layout

__all__ = ["Layout", "find_layout", "new_config"]
