"""Images in, saliency maps out. Needs torch only; OpenCV for :class:`OpenCVSaliency`."""

from .base import SALIENCY, SaliencyDetector, build_detector
from .cached import CachedSaliency
from .fine_grained.detector import FineGrainedSaliency
from .frequency_tuned import FrequencyTunedSaliency
from .network import NetworkSaliency
from .opencv import OpenCVSaliency
from .spectral_residual import SpectralResidualSaliency

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
