"""What this package registers with OpenMMLab, under which name, and in which of its modules it is defined.

A registry of mmengine, or of mmpretrain, gets a table of these names as soon as it exists, and a module of
this package is imported when one of its names is looked up for the first time. So ``import smix_mm`` imports
nothing of OpenMMLab, and what is broken beside it shows only where it is needed.

The ``locations`` of a registry, mmengine's own way to import late, do not suffice: a registry that does not
know a name looks into the tables of its parents, but does not import their locations. A hook that is
registered with mmengine would not be found from MMDetection's registry of hooks.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Dict, Mapping

from .utils.errors import PackageError
from .utils.import_hooks import when_imported
from .utils.packages import describe_import_error

# By module that holds the registries, registry, and name.
REGISTERED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "mmengine.registry": {
        "FUNCTIONS": {"whole_batch": "datasets.in_memory.dataset"},
        "HOOKS": {
            "BoxCheckHook": "engine.box_check_hook",
            "CapturedStepHook": "engine.captured",
            "ChannelsLastHook": "engine.fast_training",
            "ExactCheckpointHook": "engine.resume.checkpoint_hook",
            "LoadProofHook": "engine.load_proof_hook",
            "MixSheetHook": "visualization.mix_sheet_hook",
            "MixingLabelsHook": "engine.mixing_labels_hook",
            "NonFiniteHook": "engine.nonfinite.hook",
        },
        "LOOPS": {
            "AttackTestLoop": "robustness.loop",
            "ExactEpochBasedTrainLoop": "engine.resume.loops",
            "ExactIterBasedTrainLoop": "engine.resume.loops",
        },
        "METRICS": {"DetectionMetric": "evaluation.metric"},
        # With mmengine, so that MMAction2 finds it from its own.
        "MODELS": {"VideoSaliencyMix": "batch_augments.video"},
        "OPTIM_WRAPPERS": {"Bfloat16OptimWrapper": "engine.fast_training"},
        "TRANSFORMS": {"StrictLoadImage": "datasets.check.strict", "SanitizeBoxes": "datasets.check.strict"},
    },
    "mmpretrain.registry": {
        "BATCH_AUGMENTS": {
            "Cutout": "batch_augments.cutout",
            "OfficialSaliencyMix": "batch_augments.official",
            "SaliencyMix": "batch_augments.saliency_mix",
            "ShuffledSaliencyMix": "batch_augments.shuffled",
        },
        "DATASETS": {"InMemoryDataset": "datasets.in_memory.dataset"},
        "MODELS": {
            "BatchClsDataPreprocessor": "models.label_batch",
            "BatchLinearClsHead": "models.label_batch",
            "InMemoryClsDataPreprocessor": "datasets.in_memory.preprocessor",
            "ReflectClsDataPreprocessor": "datasets.in_memory.reflect_padding",
            "WideResNet": "models.wide_resnet",
        },
        "TRANSFORMS": {"CommonCorruption": "robustness.corruption", "PCALighting": "transforms.lighting"},
    },
}


class LateModules(Dict[str, Any]):
    """The names of a registry, with some that are imported when they are looked up.

    Like names of mmengine's own locations, they are counted and listed from then on.

    Args:
        registered: what the registry holds already.
        homes: by name, the module of this package that registers it.
    """

    def __init__(self, registered: Mapping[str, Any], homes: Mapping[str, str]) -> None:
        super().__init__(registered)
        self.homes = homes

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        if name not in self.homes:
            return False
        try:
            home = import_module(f"{__package__}.{self.homes[str(name)]}")
        except Exception as error:  # a broken package may raise anything while it is imported
            why = describe_import_error(error)
            if why is None:
                raise
            raise PackageError(f"{name} cannot be used: {why}") from error
        # Its import has registered it, unless it was imported before and then taken out; and while it is being
        # imported, and asks whether the name is free, there is no such class yet.
        if not super().__contains__(name) and hasattr(home, str(name)):
            self[str(name)] = getattr(home, str(name))
        return super().__contains__(name)

    def __missing__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default


def register_late() -> None:
    """Give every registry its names: those that exist at once, the others as soon as they do."""
    for module in REGISTERED:
        when_imported(module, _add_names)


def _add_names(module: ModuleType) -> None:
    for name, homes in REGISTERED[module.__name__].items():
        registry = getattr(module, name)
        registry._module_dict = LateModules(registry._module_dict, homes)
