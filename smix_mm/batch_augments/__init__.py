"""Batch augmentations registered with mmpretrain."""

from .official import OfficialSaliencyMix
from .saliency_mix import SaliencyMix

__all__ = ["OfficialSaliencyMix", "SaliencyMix"]
