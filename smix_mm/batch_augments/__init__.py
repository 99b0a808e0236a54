"""Batch augmentations registered with mmpretrain."""

from .cutout import Cutout
from .official import OfficialSaliencyMix
from .saliency_mix import SaliencyMix

__all__ = ["Cutout", "OfficialSaliencyMix", "SaliencyMix"]
