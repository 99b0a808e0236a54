"""Maps in, mixed batch and exact label weights out. Needs torch and numpy only."""

from .functional import saliency_mix
from .patch import blend_targets, paste
from .plan import MixDraw, MixOptions, MixPlan, draw_mix, plan_mix
from .transforms import SaliencyMixCollate, SaliencyMixTransform
from .video import saliency_mix_video

__all__ = [
    "MixDraw",
    "MixOptions",
    "MixPlan",
    "SaliencyMixCollate",
    "SaliencyMixTransform",
    "blend_targets",
    "draw_mix",
    "paste",
    "plan_mix",
    "saliency_mix",
    "saliency_mix_video",
]
