"""Robustness of a classifier to adversarial attacks and common corruptions."""

from .attacks import AttackTestLoop
from .corruption import CommonCorruption

__all__ = ["AttackTestLoop", "CommonCorruption"]
