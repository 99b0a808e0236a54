"""From a pretraining checkpoint to a detector that provably starts from it."""

from .backbone import publish_backbone
from .proof import LoadProofError, prove_loaded

__all__ = ["LoadProofError", "prove_loaded", "publish_backbone"]
