"""What mmengine runs: the train and test functions, loops and hooks."""

from .box_check_hook import BoxCheckHook
from .captured import CapturedStepHook
from .checkpoint_hook import ExactCheckpointHook
from .fast_training import Bfloat16OptimWrapper, ChannelsLastHook
from .load_proof_hook import LoadProofHook
from .loops import ExactEpochBasedTrainLoop, ExactIterBasedTrainLoop
from .mix_sheet_hook import MixSheetHook
from .mixing_labels_hook import MixingLabelsHook
from .nonfinite import NonFiniteHook

__all__ = [
    "Bfloat16OptimWrapper",
    "BoxCheckHook",
    "CapturedStepHook",
    "ChannelsLastHook",
    "ExactCheckpointHook",
    "ExactEpochBasedTrainLoop",
    "ExactIterBasedTrainLoop",
    "LoadProofHook",
    "MixSheetHook",
    "MixingLabelsHook",
    "NonFiniteHook",
]
