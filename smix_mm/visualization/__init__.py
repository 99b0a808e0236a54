"""Figures and pages of maps, boxes and mixed batches."""

from .browse import browse_mix
from .sheet import draw_mix_sheet

__all__ = ["browse_mix", "draw_mix_sheet"]
