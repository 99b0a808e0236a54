"""How a classifier stands up to attacks and to common corruptions."""

from .corruption import CommonCorruption
from .loop import AttackTestLoop

__all__ = ["AttackTestLoop", "CommonCorruption"]
