"""Maps in, mixed batch and exact label weights out. Needs torch and numpy only."""

from .functional import saliency_mix
from .patch import blend_targets, paste
from .plan import MixDraw, MixPlan, draw_mix, plan_mix
from .scheme import Scheme

__all__ = ["MixDraw", "MixPlan", "Scheme", "blend_targets", "draw_mix", "paste", "plan_mix", "saliency_mix"]
