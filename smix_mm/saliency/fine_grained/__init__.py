"""Fine-grained saliency: ``definition`` in plain torch, and kernels with equal results on CPUs and GPUs."""

from .definition import HALF_WIDTHS, fine_grained_saliency
from .detector import BACKENDS, FineGrainedSaliency

__all__ = ["BACKENDS", "HALF_WIDTHS", "FineGrainedSaliency", "fine_grained_saliency"]
