"""Maps in, mixed batch and exact label weights out. Needs torch and numpy only."""

from .functional import saliency_mix
from .guided import guided_mixup
from .patch import blend_targets, paste
from .plan import MixDraw, MixOptions, MixPlan, draw_mix, plan_mix
from .recursive import recursive_mix
from .resize import resize_mix
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
    "guided_mixup",
    "paste",
    "plan_mix",
    "recursive_mix",
    "resize_mix",
    "saliency_mix",
    "saliency_mix_video",
]
