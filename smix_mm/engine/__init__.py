"""What mmengine runs: the train and test functions, and hooks."""

from .box_check_hook import BoxCheckHook
from .load_proof_hook import LoadProofHook

__all__ = ["BoxCheckHook", "LoadProofHook"]
