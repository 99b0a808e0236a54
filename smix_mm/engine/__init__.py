"""What mmengine runs: the train and test functions, loops and hooks."""

from .box_check_hook import BoxCheckHook
from .captured import CapturedStepHook
from .fast_training import Bfloat16OptimWrapper, ChannelsLastHook
from .load_proof_hook import LoadProofHook
from .mixing_labels_hook import MixingLabelsHook
from .nonfinite.hook import NonFiniteHook
from .resume.checkpoint_hook import ExactCheckpointHook
from .resume.loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop

__all__ = [
    "Bfloat16OptimWrapper",
    "BoxCheckHook",
    "CapturedStepHook",
    "ChannelsLastHook",
    "ExactCheckpointHook",
    "ExactEpochBasedTrainLoop",
    "ExactIterBasedTrainLoop",
    "LoadProofHook",
    "MixingLabelsHook",
    "NonFiniteHook",
]
