"""The contract of a saliency detector, and the registry of detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Callable, Mapping, Type, TypeVar

import torch
from torch import Tensor

from .normalized import NormalizedImages

SALIENCY: dict[str, Type[SaliencyDetector]] = {}
"""Detectors by name, as a config's ``saliency=dict(type=NAME)`` asks for them."""

Detector = TypeVar("Detector", bound="SaliencyDetector")


def register(cls: Type[Detector]) -> Type[Detector]:
    """Class decorator: make a detector available to configs under its class name."""
    SALIENCY[cls.__name__] = cls
    return cls


def build_detector(config: Mapping[str, Any] | Callable[[Tensor], Tensor]) -> SaliencyDetector:
    """Make a detector from ``dict(type=NAME, **arguments)``; a detector is passed through.

    Raises:
        ValueError: ``type`` is missing or names no registered detector.
        TypeError: neither a mapping nor a :class:`SaliencyDetector` was given.
    """
    if isinstance(config, SaliencyDetector):
        return config
    if not isinstance(config, Mapping):
        raise TypeError(
            f"saliency is {config!r}; wanted a SaliencyDetector or a dict such as dict(type='FineGrainedSaliency')"
        )
    arguments = dict(config)
    name = arguments.pop("type", None)
    if name not in SALIENCY:
        raise ValueError(f"saliency type is {name!r}; wanted one of {sorted(SALIENCY)}")
    return SALIENCY[name](**arguments)


class SaliencyDetector(ABC):
    """A saliency detector: uint8 RGB images in, maps out.

    A subclass writes :meth:`saliency`. Detectors whose kernel can find the place of an
    extreme without writing the map override :meth:`extreme`.
    """

    def __call__(self, images: Tensor) -> Tensor:
        """Compute a map for every image.

        Args:
            images: uint8 (N, 3, H, W), RGB, H and W at least 3, on any device, in any
                memory format. Never changed.

        Returns:
            float32 (N, H, W) in [0, 1] on the same device.

        Raises:
            TypeError: ``images`` is not a uint8 tensor.
            ValueError: its shape is not (N, 3, H >= 3, W >= 3).
        """
        check_uint8_images(images)
        return self.saliency(images)

    @abstractmethod
    def saliency(self, images: Tensor) -> Tensor:
        """The map itself; ``images`` has already been checked."""

    def peak(self, images: Tensor, ties: str = "first", generator: torch.Generator | None = None) -> Tensor:
        """Place of the most salient pixel of every image.

        Args:
            images: as for calling the detector.
            ties: among equal maxima ``'first'`` takes the first in row order, ``'random'``
                each with the same chance.
            generator: a CPU generator for ``ties='random'``; default torch's global one.

        Returns:
            int64 (N, 2), (y, x) in pixels. (0, 0) for an image without any contrast under
            ``ties='first'``.
        """
        check_uint8_images(images)
        return self.extreme(images, salient=True, pick=_draw_pick(images, ties, generator))[0]

    def least_salient_point(
        self, images: Tensor, ties: str = "first", generator: torch.Generator | None = None
    ) -> Tensor:
        """Place of the least salient pixel of every image; otherwise like :meth:`peak`."""
        check_uint8_images(images)
        return self.extreme(images, salient=False, pick=_draw_pick(images, ties, generator))[0]

    def extreme(self, images: Tensor | NormalizedImages, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
        """Place of the extreme pixel, and whether there is one.

        Args:
            images: checked images, uint8 (N, 3, H, W), or normalized ones.
            salient: the maximum of the map if true, else the minimum.
            pick: None for the first extreme in row order; else float (N,) in [0, 1), which
                says how far along the equal extremes (in row order) the chosen one lies.

        Returns:
            ``(points, found)``: int64 (N, 2) as (y, x), and bool (N,), false where the map
            is constant, so that no pixel is more salient than another.
        """
        images = images if isinstance(images, Tensor) else images.to_uint8()
        return map_extreme(self.saliency(images), salient, pick)

    def reads_normalized(self, device: torch.device) -> bool:
        """Whether :meth:`extreme` reads normalized images on ``device`` without making bytes of them first."""
        return False


def map_extreme(maps: Tensor, salient: bool, pick: Tensor | None) -> tuple[Tensor, Tensor]:
    """:meth:`SaliencyDetector.extreme` of ready maps, float32 (N, H, W); never waits for a GPU."""
    width = maps.shape[-1]
    flat = maps.flatten(1)
    least, most = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    ties = flat == (most if salient else least)
    if pick is None:
        # argmax promises no order among equal values; the least index does.
        order = torch.arange(flat.shape[1], device=flat.device)
        index = torch.where(ties, order, flat.shape[1]).amin(1)
    else:
        rank = ties.cumsum(1)
        chosen = (pick.to(maps.device, torch.float64, non_blocking=True) * rank[:, -1]).long() + 1
        index = (rank < chosen[:, None]).sum(1)
    points = torch.stack((index // width, index % width), 1)
    return points, (most > least).squeeze(1)


def check_uint8_images(images: Tensor, name: str = "images") -> None:
    """Raise unless ``images`` is what a detector takes; ``name`` is what the message calls it."""
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        given = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} is {given}; wanted a uint8 tensor with values 0 to 255")
    if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 3:
        raise ValueError(f"{name} has shape {tuple(images.shape)}; wanted (N, 3, H, W) in RGB with H and W at least 3")


def _draw_pick(images: Tensor, ties: str, generator: torch.Generator | None) -> Tensor | None:
    if ties not in ("first", "random"):
        raise ValueError(f"ties is {ties!r}; wanted 'first' or 'random'")
    if ties == "first":
        return None
    return torch.rand(len(images), dtype=torch.float64, generator=generator)
