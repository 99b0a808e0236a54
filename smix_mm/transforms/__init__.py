"""Transforms of single pictures, registered with mmpretrain."""

from .lighting import PCALighting

__all__ = ["PCALighting"]
