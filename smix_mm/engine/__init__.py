"""Training and testing with mmengine: functions, loops and hooks."""

from .captured import CapturedStepHook
from .hooks import Bfloat16OptimWrapper, ChannelsLastHook, LoadProofHook, MixingLabelsHook
from .nonfinite.hook import NonFiniteHook
from .resume.checkpoint_hook import ExactCheckpointHook
from .resume.loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop

__all__ = [
    "Bfloat16OptimWrapper",
    "CapturedStepHook",
    "ChannelsLastHook",
    "ExactCheckpointHook",
    "ExactEpochBasedTrainLoop",
    "ExactIterBasedTrainLoop",
    "LoadProofHook",
    "MixingLabelsHook",
    "NonFiniteHook",
]
