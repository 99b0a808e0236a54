"""Saliency-guided mixing for OpenMMLab and plain PyTorch.

Importing the package registers its classes with the installed OpenMMLab packages, so a config needs only
``custom_imports = dict(imports=['smix_mm'])``. The import itself imports neither torch nor OpenMMLab: a registered
class is imported when a config names it, see :mod:`smix_mm.registration`, and the names below when they are used.
"""

import warnings as _warnings
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING, Any, List

from .registration import register_late as _register_late
from .utils import mmcv_operators as _mmcv_operators
from .utils.packages import transformers_conflict as _transformers_conflict
from .version import __version__

if TYPE_CHECKING:
    from .mixing import (
        SaliencyMixCollate,
        SaliencyMixTransform,
        guided_mixup,
        recursive_mix,
        resize_mix,
        saliency_mix,
        saliency_mix_video,
    )

__all__ = [
    "SaliencyMixCollate",
    "SaliencyMixTransform",
    "__version__",
    "guided_mixup",
    "recursive_mix",
    "resize_mix",
    "saliency_mix",
    "saliency_mix_video",
]

_register_late()
_mmcv_operators.install()

if _conflict := _transformers_conflict():  # all that needs no mmpretrain works all the same
    _warnings.warn(f"{_conflict}. `python -m smix_mm.doctor` checks the environment.", stacklevel=2)


def __getattr__(name: str) -> Any:
    if name in __all__:
        globals()[name] = value = getattr(_import_module(f"{__name__}.mixing"), name)
        return value
    # The modules of the package, as if they had been imported.
    if not name.startswith("_") and _find_spec(f"{__name__}.{name}"):
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
