"""Batch augmentations registered with mmpretrain."""

from .official import OfficialSaliencyMix
from .rivals import Cutout
from .saliency_mix import SaliencyMix

__all__ = ["Cutout", "OfficialSaliencyMix", "SaliencyMix"]
