"""Sheets and pages of mixed batches, and figures that compare checkpoints."""

from .browse import browse_mix

__all__ = ["browse_mix"]
