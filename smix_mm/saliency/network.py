"""Saliency from any salient-object network, with the user's own weights."""

from __future__ import annotations

import copy
import os
import pickle
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import SaliencyDetector, register

# A map whose values differ by less, as a share of the largest, differs by rounding alone.
NO_CONTRAST = 1e-6


@register
class NetworkSaliency(SaliencyDetector):
    """Saliency that a network finds, such as BASNet or U²-Net.

    How it works: images are resized to the network's input (bilinear, antialiased), normalised
    and put through it in eval mode without gradients. Its map is resized back, and each map is
    scaled so that its minimum is 0 and its maximum 1. A map that is constant, or not finite
    everywhere, gives zeros.

    Args:
        model: the network, which takes float (N, 3, h, w), RGB, and gives maps (N, 1, h', w') or
            (N, h', w'), or a list or tuple of such. One of: the config of a model registered with
            mmengine's ``MODELS``, such as ``dict(type='mmdet.MyNet')``; an ``nn.Module``, which is
            copied; the path of a program that ``torch.export.save`` wrote (``.pt2``), exported in
            eval mode.
        weights: file with the network's state dict, plain or under ``'state_dict'``, whose names
            must be the network's, neither more nor fewer. Needed for a config. None: as it comes.
        input_size: (height, width) of the network's input, pixels.
        mean: subtracted from channels R, G, B, in 0..255.
        std: what they are then divided by, positive.
        output: which of several outputs is the map. None: the only one, or the first.
        sigmoid: put the map through a sigmoid, for a network that gives logits. It changes no
            place of an extreme, but it does change the map.
        half: compute in half precision where that is safe: float16, on a CPU bfloat16.

    Raises:
        TypeError, ValueError: an argument is not as above, or weights and network differ, or the
            network gives no such map; the last three at the first call.
        FileNotFoundError: there is no such file.
        ImportError: ``model`` is a config, and mmengine is not installed.

    .. note::
        Weights, those in an exported program too, are read with ``weights_only=True``: a file that
        would run code is refused. An exported program is a program nevertheless: torch itself
        advises to load none from a source that is not trusted.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | str | Path,
        weights: str | Path | None = None,
        input_size: Sequence[int] = (224, 224),
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        output: int | None = None,
        sigmoid: bool = False,
        half: bool = False,
    ) -> None:
        if not isinstance(model, (Mapping, nn.Module, str, Path)):
            raise TypeError(
                f"model is {type(model).__name__}; wanted a config, an nn.Module or the path of a .pt2 file"
            )
        if isinstance(model, Mapping) and weights is None:
            raise ValueError("model is a config and weights is None; wanted a file with the network's state dict")
        for name, path in (("model", model), ("weights", weights)):
            if isinstance(path, (str, Path)) and not Path(path).is_file():
                raise FileNotFoundError(f"{name} {path} is not there; wanted a file")
        if len(input_size) != 2 or not all(isinstance(side, int) and side > 0 for side in input_size):
            raise ValueError(f"input_size is {input_size!r}; wanted (height, width) in pixels")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean is {mean!r} and std is {std!r}; wanted three numbers each, std positive")
        self.model = model
        self.weights = weights
        self.input_size = (input_size[0], input_size[1])
        self.mean = torch.tensor(mean, dtype=torch.float32).view(3, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32).view(3, 1, 1)
        self.output = output
        self.sigmoid = sigmoid
        self.half = half
        self.network: nn.Module | None = None
        self.device: torch.device | None = None

    @torch.no_grad()
    def saliency(self, images: Tensor) -> Tensor:
        size = (images.shape[2], images.shape[3])
        if len(images) == 0:  # resizing no images is an error
            return torch.zeros((0, *size), device=images.device)
        network = self._network_on(images.device)
        resized = F.interpolate(images.float(), self.input_size, mode="bilinear", align_corners=False, antialias=True)
        inputs = (resized - self.mean) / self.std
        dtype = torch.bfloat16 if images.device.type == "cpu" else torch.float16
        with torch.autocast(images.device.type, dtype, enabled=self.half):
            outputs = network(inputs)
        maps = self._choose(outputs, len(images)).float()
        if self.sigmoid:
            maps = maps.sigmoid()
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)[:, 0]
        return scale_to_unit_range(maps)

    def _network_on(self, device: torch.device) -> nn.Module:
        """The network, made at the first call, on a device."""
        if self.network is None:
            self.network = _build(self.model)
            if self.weights is not None:
                _load(self.network, self.weights)
        if self.device != device:
            self.network.to(device)
            self.mean, self.std = self.mean.to(device), self.std.to(device)
            self.device = device
        return self.network

    def _choose(self, outputs: Any, count: int) -> Tensor:
        """The map (N, 1, h, w) among what the network gave."""
        if isinstance(outputs, (list, tuple)):
            index = self.output or 0
            if not -len(outputs) <= index < len(outputs):
                raise ValueError(f"output is {index}, but the network gives {len(outputs)} outputs; wanted one of them")
            outputs = outputs[index]
        elif self.output is not None:
            raise ValueError(f"output is {self.output}, but the network gives {_describe(outputs)}; wanted None")
        if isinstance(outputs, Tensor) and outputs.dim() == 3:
            outputs = outputs[:, None]
        if not isinstance(outputs, Tensor) or outputs.dim() != 4 or outputs.shape[:2] != (count, 1):
            raise ValueError(
                f"the network gives {_describe(outputs)} for {count} images; wanted a map, "
                f"({count}, 1, h, w) or ({count}, h, w): `output` chooses among several"
            )
        return outputs


def scale_to_unit_range(maps: Tensor) -> Tensor:
    """Scale each of float (N, H, W) to minimum 0 and maximum 1; zeros without contrast or where not finite."""
    least, most = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    contrast = most - least
    # Written so that NaN fails it.
    usable = (contrast > NO_CONTRAST * torch.maximum(most.abs(), least.abs())) & contrast.isfinite()
    scaled = (maps - least) / torch.where(usable, contrast, 1)
    return torch.where(usable, scaled, 0).clamp(0, 1)


def _build(model: Mapping[str, Any] | nn.Module | str | Path) -> nn.Module:
    if isinstance(model, nn.Module):
        return copy.deepcopy(model).eval()
    if isinstance(model, Mapping):
        try:
            from mmengine.registry import MODELS
        except ImportError as error:
            raise ImportError(
                "model is a config, which needs mmengine; wanted that installed, or an nn.Module"
            ) from error
        try:
            return MODELS.build(dict(model)).eval()
        except KeyError as error:
            raise ValueError(f"model {dict(model)} cannot be built: {error.args[0]}") from error
    try:
        with _tensors_alone():
            # An exported program has no other mode than the one it was exported in.
            return torch.export.load(str(model)).module()
    except Exception as error:  # of many kinds, for what is no exported program
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"model {model} cannot be read: {reason}; wanted a file that torch.export.save wrote"
        ) from error


@contextmanager
def _tensors_alone() -> Iterator[None]:
    """Make torch read with ``weights_only=True`` where it would by itself fall back to less."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _load(network: nn.Module, path: str | Path) -> None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"weights {path} are refused: the file holds more than tensors and plain values, or is damaged; "
            "save the network's state_dict alone with torch.save and give that"
        ) from error
    except (RuntimeError, EOFError, KeyError) as error:
        raise ValueError(f"weights {path} cannot be read: {str(error).splitlines()[0]}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"weights {path} hold no state dict; wanted tensors by name, plain or under 'state_dict'")
    try:
        network.load_state_dict(content, strict=True)
    except RuntimeError as error:
        raise ValueError(f"weights {path} are not those of the network: {error}") from error


def _describe(outputs: Any) -> str:
    return f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
