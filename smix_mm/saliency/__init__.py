"""Images in, saliency maps out. Needs torch only; OpenCV for :class:`OpenCVSaliency`."""

from .base import SALIENCY, SaliencyDetector, build_detector
from .cached import CachedSaliency
from .fine_grained.detector import FineGrainedSaliency
from .frequency import FrequencyTunedSaliency, SpectralResidualSaliency
from .network import NetworkSaliency
from .opencv import OpenCVSaliency

__all__ = [
    "SALIENCY",
    "CachedSaliency",
    "FineGrainedSaliency",
    "FrequencyTunedSaliency",
    "NetworkSaliency",
    "OpenCVSaliency",
    "SaliencyDetector",
    "SpectralResidualSaliency",
    "build_detector",
]
