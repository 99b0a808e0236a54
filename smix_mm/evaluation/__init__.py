"""Average precision of detectors, from predictions that are kept.

Nothing here needs an OpenMMLab package but :mod:`smix_mm.evaluation.metric`, which registers
``DetectionMetric`` and is imported on its own.
"""

from ..utils.errors import DataError
from .average_precision import evaluate, recompute
from .detections import Detections, read_detections

__all__ = ["DataError", "Detections", "evaluate", "read_detections", "recompute"]
