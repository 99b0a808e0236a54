"""The base class of saliency detectors, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Callable, Mapping, Type, TypeVar

import torch
from torch import Tensor

from ..utils.choices import check_option
from ..utils.tensors import check_images
from .normalization import NormalizedImages

SALIENCY: dict[str, Type[SaliencyDetector]] = {}
"""Detector classes by the name that a config's ``saliency=dict(type=NAME)`` gives."""

Detector = TypeVar("Detector", bound="SaliencyDetector")


def register(cls: Type[Detector]) -> Type[Detector]:
    """Class decorator: add a detector to :data:`SALIENCY` under its class name."""
    SALIENCY[cls.__name__] = cls
    return cls


def build_detector(config: Mapping[str, Any] | Callable[[Tensor], Tensor]) -> SaliencyDetector:
    """Build a detector from ``dict(type=NAME, **arguments)``; a detector is returned as it is.

    Raises:
        ValueError: ``type`` is missing or not the name of a registered detector.
        TypeError: ``config`` is neither a mapping nor a :class:`SaliencyDetector`.
    """
    if isinstance(config, SaliencyDetector):
        return config
    if not isinstance(config, Mapping):
        raise TypeError(
            "the saliency detector should be a SaliencyDetector or a config such as dict(type='FineGrainedSaliency'), "
            f"got {config!r}"
        )
    arguments = dict(config)
    name = arguments.pop("type", None)
    check_option("type of the saliency detector", name, tuple(sorted(SALIENCY)))
    return SALIENCY[name](**arguments)


class SaliencyDetector(ABC):
    """A saliency detector: uint8 RGB images in, maps out.

    A subclass defines :meth:`saliency`. One that can find an extreme pixel without writing the map also
    overrides :meth:`extreme`.
    """

    def __call__(self, images: Tensor) -> Tensor:
        """Compute a map for every image.

        Args:
            images: uint8 (N, 3, H, W), RGB, H and W at least 3, on any device, in any
                memory format. Not changed.

        Returns:
            float32 (N, H, W) in [0, 1] on the same device.

        Raises:
            TypeError: ``images`` is not a uint8 tensor.
            ValueError: its shape is not (N, 3, H >= 3, W >= 3).
        """
        check_images(images, "N, 3, H, W", dtype="uint8")
        return self.saliency(images)

    @abstractmethod
    def saliency(self, images: Tensor) -> Tensor:
        """The maps of checked images; arguments and result as for calling the detector."""

    def peak(self, images: Tensor, ties: str = "first", generator: torch.Generator | None = None) -> Tensor:
        """Find the most salient pixel of every image.

        Args:
            images: as for calling the detector.
            ties: of several equal maxima the ``'first'`` in row order, or a ``'random'`` one, each with the
                same probability. Defaults to ``'first'``.
            generator: a CPU generator for ``ties='random'``. Defaults to torch's global one.

        Returns:
            int64 (N, 2), (y, x) in pixels. (0, 0) for an image without any contrast under
            ``ties='first'``.
        """
        return self._point(images, True, ties, generator)

    def least_salient_point(
        self, images: Tensor, ties: str = "first", generator: torch.Generator | None = None
    ) -> Tensor:
        """Find the least salient pixel of every image; arguments and result as for :meth:`peak`."""
        return self._point(images, False, ties, generator)

    def _point(self, images: Tensor, salient: bool, ties: str, generator: torch.Generator | None) -> Tensor:
        check_images(images, "N, 3, H, W", dtype="uint8")
        check_option("ties", ties, ("first", "random"))
        pick = None
        if ties == "random":
            pick = torch.rand(len(images), dtype=torch.float64, generator=generator)
        return self.extreme(images, salient, pick)[0]

    def extreme(self, images: Tensor | NormalizedImages, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
        """Find the extreme pixel of every image, and whether it has one.

        Args:
            images: checked images, uint8 (N, 3, H, W), or normalized ones.
            salient: whether to find the maximum of the map, or the minimum.
            pick: None for the first of equal extremes; else float64 (N,) in [0, 1): of k equal extremes in
                row order, number ``int(pick * k)`` is taken.

        Returns:
            ``(points, found)``: int64 (N, 2) as (y, x), and bool (N,), false where the map
            is constant, so that no pixel is more salient than another.
        """
        images = images if isinstance(images, Tensor) else images.to_uint8()
        return map_extreme(self.saliency(images), salient, pick)

    def reads_normalized(self, device: torch.device) -> bool:
        """Whether :meth:`extreme` reads normalized images on ``device`` without converting them to uint8."""
        return False


def map_extreme(maps: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of given maps, float32 (N, H, W); does not wait for a GPU."""
    width = maps.shape[-1]
    flat = maps.flatten(1)
    least, most = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    ties = flat == (most if salient else least)
    if pick is None:
        # argmax may return any of several equal values, so take the smallest index.
        order = torch.arange(flat.shape[1], device=flat.device)
        index = torch.where(ties, order, flat.shape[1]).amin(1)
    else:
        rank = ties.cumsum(1)
        chosen = (pick.to(maps.device, torch.float64, non_blocking=True) * rank[:, -1]).long() + 1
        index = (rank < chosen[:, None]).sum(1)
    points = torch.stack((index // width, index % width), 1)
    return points, (most > least).squeeze(1)


class GivenSaliency(SaliencyDetector):
    """Reads maps that were computed before the mixing, such as those of images before a crop.

    In place of images it gets the maps, float32 (N, 1, H, W), in [0, 1] inside the image and negative in the padding
    of a crop: a pixel there is neither the most nor the least salient one.
    """

    def saliency(self, images: Tensor) -> Tensor:
        return images[:, 0]

    def extreme(self, images: Any, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
        highest = images[:, 0]
        lowest = highest.masked_fill(highest < 0, 2)
        points, _ = map_extreme(highest if salient else lowest, salient, pick)
        return points, highest.amax((1, 2)) > lowest.amin((1, 2))
