"""Transforms of single images, registered with mmpretrain."""

from .lighting import PCALighting

__all__ = ["PCALighting"]
