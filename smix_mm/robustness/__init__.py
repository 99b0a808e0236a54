"""Robustness of a classifier to adversarial attacks and common corruptions."""

from .corruption import CommonCorruption
from .loop import AttackTestLoop

__all__ = ["AttackTestLoop", "CommonCorruption"]
