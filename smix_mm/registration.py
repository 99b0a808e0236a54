"""The classes that this package registers with OpenMMLab, and the modules that define them.

The names are added to the registries of mmengine and mmpretrain as soon as these are imported; the module of a name is
imported on its first lookup. So a package that cannot be imported affects only the classes that need it.

mmengine's own lazy import, the ``locations`` of a registry, does not suffice: a lookup in a child registry, such as
MMDetection's hooks, searches its parents, but does not import their locations.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Dict, Mapping

from .utils.errors import PackageError
from .utils.import_hooks import when_imported
from .utils.packages import describe_import_error

# By module of the registries, registry, and name.
REGISTERED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "mmengine.registry": {
        "FUNCTIONS": {
            "channels_last_batch": "datasets.fast_images.loading",
            "whole_batch": "datasets.in_memory.dataset",
        },
        "HOOKS": {
            "CapturedStepHook": "engine.captured",
            "ChannelsLastHook": "engine.hooks",
            "ConfigScheduleHook": "engine.hooks",
            "ExactCheckpointHook": "engine.resume.checkpoint_hook",
            "LoadProofHook": "engine.hooks",
            "MixSheetHook": "visualization.mix_sheet_hook",
            "MixingLabelsHook": "engine.hooks",
            "NonFiniteHook": "engine.nonfinite.hook",
        },
        "LOOPS": {
            "AttackTestLoop": "robustness.attacks",
            "ExactEpochBasedTrainLoop": "engine.resume.loops",
            "ExactIterBasedTrainLoop": "engine.resume.loops",
        },
        "METRICS": {"DetectionMetric": "evaluation.metric"},
        # In mmengine, the parent of MMAction2's registry.
        "MODELS": {"VideoSaliencyMix": "batch_augments.video"},
        "OPTIM_WRAPPERS": {"Bfloat16OptimWrapper": "engine.hooks"},
        "TRANSFORMS": {"StrictLoadImage": "datasets.check.strict", "SanitizeBoxes": "datasets.check.strict"},
    },
    "mmpretrain.registry": {
        "BATCH_AUGMENTS": {
            "Cutout": "batch_augments.rivals",
            "GuidedMixup": "batch_augments.rivals",
            "OfficialSaliencyMix": "batch_augments.official",
            "PaperResizeMix": "batch_augments.rivals",
            "RecursiveMix": "batch_augments.recursive_mix",
            "SaliencyMix": "batch_augments.saliency_mix",
            "ShuffledSaliencyMix": "batch_augments.saliency_mix",
        },
        "DATASETS": {"InMemoryDataset": "datasets.in_memory.dataset"},
        "MODELS": {
            "AugmentingClsDataPreprocessor": "datasets.fast_images.preprocessor",
            "BatchClsDataPreprocessor": "models.label_batch",
            "BatchLinearClsHead": "models.label_batch",
            "InMemoryClsDataPreprocessor": "datasets.in_memory.preprocessor",
            "RecursiveMixClassifier": "batch_augments.recursive_mix",
            "ReflectClsDataPreprocessor": "datasets.in_memory.preprocessor",
            "WideResNet": "models.wide_resnet",
        },
        "TRANSFORMS": {
            "CommonCorruption": "robustness.corruption",
            "LoadRandomResizedCrop": "datasets.fast_images.loading",
            "PCALighting": "transforms",
            "PackTensors": "datasets.fast_images.loading",
        },
    },
}


class LateModules(Dict[str, Any]):
    """The classes of a registry by name, some of which are imported on their first lookup.

    A registry looks a name up by ``in`` before it reads the class. Classes are counted and listed only after it, as
    those from mmengine's locations.

    Args:
        registered: The classes that are already registered.
        modules: The module of this package for each further name.
    """

    def __init__(self, registered: Mapping[str, Any], modules: Mapping[str, str]) -> None:
        super().__init__(registered)
        self.modules = modules

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        if name not in self.modules:
            return False
        try:
            module = import_module(f"{__package__}.{self.modules[str(name)]}")
        except Exception as error:  # a broken package may raise any error on import
            reason = describe_import_error(error)
            if reason is None:
                raise
            raise PackageError(f"{name} cannot be used: {reason}") from error
        # The import has registered the class, unless the module was imported before and the class then removed. During
        # the import, when the registry checks whether the name is free, the class does not exist yet.
        if not super().__contains__(name) and hasattr(module, str(name)):
            self[str(name)] = getattr(module, str(name))
        return super().__contains__(name)


def register_late() -> None:
    """Add the names to all registries, now or as soon as they are imported."""
    for module in REGISTERED:
        when_imported(module, _add_names)


def _add_names(module: ModuleType) -> None:
    for name, modules in REGISTERED[module.__name__].items():
        registry = getattr(module, name)
        registry._module_dict = LateModules(registry._module_dict, modules)
