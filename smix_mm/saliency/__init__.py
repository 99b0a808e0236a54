"""Pictures in, saliency maps out. Needs torch only; OpenCV for :class:`OpenCVSaliency`."""

from .base import SALIENCY, SaliencyDetector, build_detector
from .fine_grained import FineGrainedSaliency
from .opencv import OpenCVSaliency

__all__ = [
    "SALIENCY",
    "FineGrainedSaliency",
    "OpenCVSaliency",
    "SaliencyDetector",
    "build_detector",
]
