"""Maps in, mixed batch and exact label weights out. Needs torch and numpy only."""

from .functional import saliency_mix, saliency_mix_video
from .patch import blend_targets, paste
from .plan import MixDraw, MixOptions, MixPlan, draw_mix, plan_mix
from .rivals import guided_mixup, recursive_mix, resize_mix
from .transforms import SaliencyMixCollate, SaliencyMixTransform

__all__ = [
    "MixDraw",
    "MixOptions",
    "MixPlan",
    "SaliencyMixCollate",
    "SaliencyMixTransform",
    "blend_targets",
    "draw_mix",
    "guided_mixup",
    "paste",
    "plan_mix",
    "recursive_mix",
    "resize_mix",
    "saliency_mix",
    "saliency_mix_video",
]
