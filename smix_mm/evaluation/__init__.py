"""Average precision of detectors, from stored predictions.

Only :mod:`smix_mm.evaluation.metric`, which registers ``DetectionMetric``, needs mmengine; it is not imported here.
"""

from ..utils.errors import DataError
from .average_precision import evaluate, recompute
from .detections import Detections, read_detections

__all__ = ["DataError", "Detections", "evaluate", "read_detections", "recompute"]
