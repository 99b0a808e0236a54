"""Saliency-guided mixing for OpenMMLab and plain PyTorch.

Importing the package registers its parts with those OpenMMLab packages that are installed, so
a config needs only ``custom_imports = dict(imports=['smix_mm'])``. Where none is installed,
:func:`saliency_mix` and :mod:`smix_mm.saliency` work all the same.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec

from .mixing import SaliencyMixCollate, SaliencyMixTransform, saliency_mix, saliency_mix_video
from .utils import mmcv_operators
from .version import __version__

__all__ = ["SaliencyMixCollate", "SaliencyMixTransform", "__version__", "saliency_mix", "saliency_mix_video"]

mmcv_operators.install()

# What registers what: the packages needed, and the room that registers with them.
_ROOMS = (
    (("mmengine", "mmcv", "mmpretrain"), "batch_augments"),
    (("mmengine", "mmcv", "mmaction"), "blending"),
    (("mmengine", "mmcv", "mmpretrain"), "models"),
    (("mmengine", "mmcv", "mmpretrain"), "transforms"),
    (("mmengine", "mmcv", "mmpretrain"), "datasets.in_memory"),
    (("mmengine", "mmcv"), "datasets.whole_picture"),
    (("mmengine",), "evaluation.metric"),
    (("mmengine",), "engine"),
    (("mmengine", "mmcv", "mmpretrain"), "robustness"),
)

for _needed, _room in _ROOMS:
    if all(find_spec(_name) for _name in _needed):
        try:
            import_module(f"{__name__}.{_room}")
        except (ImportError, AssertionError, OSError) as _error:  # the plain half works all the same
            warnings.warn(
                f"smix_mm.{_room} is not registered, because an installed package does not import: "
                f"{type(_error).__name__}: {_error}. `python -m smix_mm.doctor` says how to mend it.",
                stacklevel=2,
            )
