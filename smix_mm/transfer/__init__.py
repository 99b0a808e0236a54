"""Publishing a pretrained backbone, and proving that a detector starts from it."""

from ..utils.errors import LoadProofError
from .backbone import publish_backbone
from .proof import prove_loaded

__all__ = ["LoadProofError", "prove_loaded", "publish_backbone"]
