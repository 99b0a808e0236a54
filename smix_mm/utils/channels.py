"""Channel order of the images that a config's dataloader returns."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

# Steps of this package, OpenMMLab and others, but neither LoadAnnotations nor the name of a data loader.
_LOADS_IMAGES = re.compile(r"Load(\w*Image|RandomResizedCrop)")


def loaded_order(dataloader: Mapping[str, Any] | None) -> str | None:
    """The channel order of images before the data preprocessor.

    Args:
        dataloader: Settings of a dataloader, or of its dataset.

    Returns:
        ``'bgr'`` if a step of a pipeline loads images, as ``LoadImageFromFile`` does; ``'rgb'`` if the dataset itself
        has them, as mmpretrain's CIFAR10 and :class:`~smix_mm.datasets.in_memory.dataset.InMemoryDataset` do; None
        without settings.
    """
    if not dataloader:
        return None
    return "bgr" if any(_LOADS_IMAGES.search(name) for name in _types(dataloader)) else "rgb"


def batch_order(dataloader: Mapping[str, Any] | None, flips: bool) -> str | None:
    """The channel order behind a data preprocessor, which reverses the channels if ``flips``; None if not known."""
    order = loaded_order(dataloader)
    return order[::-1] if order and flips else order


def _types(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        yield str(settings.get("type"))
        settings = list(settings.values())
    for each in settings if isinstance(settings, (list, tuple)) else ():
        yield from _types(each)
