"""Saliency from any salient-object network, with the user's own weights."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any, Mapping, Sequence
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.errors import PackageError
from ..utils.files import file_hash
from ..utils.packages import first_line
from .base import SaliencyDetector, register
from .normalization import check_mean_std

# Values of a map that differ by less than this share of the largest differ only by rounding.
NO_CONTRAST = 1e-6


@register
class NetworkSaliency(SaliencyDetector):
    """Saliency maps of a network such as BASNet or U²-Net.

    Images are resized to the network's input size (bilinear, antialiased), divided by their maximum if so set,
    normalized, and given to the network in eval mode, without gradients. Its maps are resized back, and each is scaled
    to a minimum of 0 and a maximum of 1. A map that is constant, or not finite everywhere, becomes zeros.

    Args:
        model: the network: float32 (N, 3, h, w), RGB, to maps (N, 1, h', w') or (N, h', w'), or to a list or tuple of
            these, of which the first is taken. One of: the config of a model registered with
            mmengine's ``MODELS``, such as ``dict(type='mmdet.MyNet')``; an ``nn.Module``, which is
            copied; the path of an ONNX file (``.onnx``), run by onnxruntime, see
            :class:`~smix_mm.saliency.network.OnnxNetwork`; the path of a program that ``torch.export.save``
            wrote (``.pt2``), exported in eval mode.
        weights: file with the network's state dict, plain or under ``'state_dict'``, with exactly the
            names of the network's. Needed for a config. Defaults to None: the network's own weights.
        input_size: (height, width) of the network's input, pixels. Defaults to (224, 224).
        mean: subtracted from the channels R, G, B, in 0..255. Defaults to ImageNet's.
        std: the divisors after that, positive. Defaults to ImageNet's.
        sigmoid: whether to apply a sigmoid to the map, for a network that returns logits. This changes the
            map but not the place of an extreme. Defaults to False.
        half: whether to compute under autocast: in float16, on a CPU in bfloat16; no effect on an ONNX file. Defaults
            to False.
        divide_by_max: whether to scale each resized image so that its maximum is 255 before it is normalized, as
            U²-Net's released code does. Defaults to False.

    Raises:
        TypeError, ValueError: an argument is not as above; or, at the first call, the model cannot be built or
            read, the weights are not the network's, or its output is not such a map.
        FileNotFoundError: a file does not exist.
        PackageError: ``model`` is a config, and mmengine is not installed; or an ONNX file, and onnxruntime is not.

    Weights, including those in an exported program, are read with ``weights_only=True``: a file that
    would run code is refused. Still, an exported program is a program: load none that you do not trust.
    """

    def __init__(
        self,
        model: Mapping[str, Any] | nn.Module | str | Path,
        weights: str | Path | None = None,
        input_size: Sequence[int] = (224, 224),
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        sigmoid: bool = False,
        half: bool = False,
        divide_by_max: bool = False,
    ) -> None:
        if not isinstance(model, (Mapping, nn.Module, str, Path)):
            raise TypeError(
                "model should be a config, an nn.Module or the path of a .pt2 or .onnx file, got "
                f"{type(model).__name__}"
            )
        if isinstance(model, Mapping) and weights is None:
            raise ValueError("weights should be a file with the network's state dict if model is a config, got None")
        for name, path in (("model", model), ("weights", weights)):
            if isinstance(path, (str, Path)) and not Path(path).is_file():
                raise FileNotFoundError(f"{name} should be a file, got {path}, which does not exist")
        if len(input_size) != 2 or not all(isinstance(side, int) and side > 0 for side in input_size):
            raise ValueError(f"input_size should be (height, width) in pixels, got {input_size!r}")
        self.model = model
        self.weights = weights
        self.input_size = (input_size[0], input_size[1])
        self.mean, self.std = (numbers.view(3, 1, 1) for numbers in check_mean_std(mean, std))
        self.sigmoid = sigmoid
        self.half = half
        self.divide_by_max = divide_by_max
        self.network: nn.Module | None = None
        self.device: torch.device | None = None

    @torch.no_grad()
    def saliency(self, images: Tensor) -> Tensor:
        size = (images.shape[2], images.shape[3])
        if len(images) == 0:  # interpolate refuses an empty batch
            return torch.zeros((0, *size), device=images.device)
        network = self._network_on(images.device)
        resized = F.interpolate(images.float(), self.input_size, mode="bilinear", align_corners=False, antialias=True)
        if self.divide_by_max:
            resized = resized * (255 / resized.amax((1, 2, 3), keepdim=True).clamp(min=1))
        inputs = (resized - self.mean) / self.std
        dtype = torch.bfloat16 if images.device.type == "cpu" else torch.float16
        with torch.autocast(images.device.type, dtype, enabled=self.half):
            outputs = network(inputs)
        first = outputs[0] if isinstance(outputs, (list, tuple)) and outputs else outputs
        if isinstance(first, Tensor) and first.dim() == 3:
            first = first[:, None]
        if not isinstance(first, Tensor) or first.dim() != 4 or first.shape[:2] != (len(images), 1):
            given = f"shape {tuple(first.shape)}" if isinstance(first, Tensor) else type(first).__name__
            raise ValueError(
                f"the network's output for {len(images)} images should be a map, ({len(images)}, 1, h, w) or "
                f"({len(images)}, h, w), or several of which the first counts, got {given}"
            )
        maps = first.float()
        if self.sigmoid:
            maps = maps.sigmoid()
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)[:, 0]
        return scale_to_unit_range(maps)

    def _network_on(self, device: torch.device) -> nn.Module:
        """The network on ``device``; built at the first call."""
        if self.network is None:
            self.network = _build(self.model, self.input_size)
            if self.weights is not None:
                _load(self.network, self.weights)
        if self.device != device:
            self.network.to(device)
            self.mean, self.std = self.mean.to(device), self.std.to(device)
            self.device = device
        return self.network

    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of the files of network and weights, by argument."""
        files = dict(model=self.model, weights=self.weights)
        return {name: file_hash(path) for name, path in files.items() if isinstance(path, (str, Path))}


def scale_to_unit_range(maps: Tensor) -> Tensor:
    """Scale each map, float32 (N, H, W), to [0, 1]; to zeros where it has no contrast or is not finite."""
    least, most = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    contrast = most - least
    # Written so that NaN fails it.
    usable = (contrast > NO_CONTRAST * torch.maximum(most.abs(), least.abs())) & contrast.isfinite()
    scaled = (maps - least) / torch.where(usable, contrast, 1)
    return torch.where(usable, scaled, 0).clamp(0, 1)


def _build(model: Mapping[str, Any] | nn.Module | str | Path, input_size: tuple[int, int]) -> nn.Module:
    if isinstance(model, nn.Module):
        return copy.deepcopy(model).eval()
    if isinstance(model, Mapping):
        try:
            from mmengine.registry import MODELS
        except ImportError as error:
            raise PackageError(
                "mmengine is needed to build model from a config; install it, or give an nn.Module"
            ) from error
        try:
            return MODELS.build(dict(model)).eval()
        except KeyError as error:
            raise ValueError(f"model {dict(model)} cannot be built: {error.args[0]}") from error
    if str(model).endswith(".onnx"):
        return OnnxNetwork(model, input_size)
    try:
        # torch would fall back to weights_only=False.
        with mock.patch.dict(os.environ, TORCH_FORCE_WEIGHTS_ONLY_LOAD="1"):
            # An exported program cannot be switched to eval mode.
            return torch.export.load(str(model)).module()
    except Exception as error:  # the kind depends on what the file is
        expected = "it should be a file written by torch.export.save"
        raise ValueError(f"model {model} cannot be read: {first_line(error)}; {expected}") from error


def _load(network: nn.Module, path: str | Path) -> None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"weights {path} are refused: the file contains more than tensors and plain values, or is damaged; "
            "give a file with only the network's state_dict, saved with torch.save"
        ) from error
    except (RuntimeError, EOFError, KeyError) as error:
        raise ValueError(f"weights {path} cannot be read: {first_line(error)}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"weights {path} should be a state dict, tensors by name, plain or under 'state_dict'")
    try:
        network.load_state_dict(content, strict=True)
    except RuntimeError as error:
        raise ValueError(f"weights {path} are not those of the network: {error}") from error


class OnnxNetwork(nn.Module):
    """The network of an ONNX file: float32 images in, all its outputs out.

    On a GPU onnxruntime computes there if it can (the package ``onnxruntime-gpu``), but images and maps are copied
    through the CPU; never run on a GPU. On a CPU it uses as many threads as torch.

    Args:
        path: the file; it has one input, float32 (N, 3, h, w). A file for one image gets one image at a time.
        input_size: (height, width) of the images.

    Raises:
        PackageError: onnxruntime is not installed.
        ValueError: the file is not an ONNX model, or its input is not as above.
    """

    def __init__(self, path: str | Path, input_size: tuple[int, int]) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            reason = "needs onnxruntime, which is not installed; pip install onnxruntime"
            raise PackageError(f"model {path} {reason}") from error
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        available = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        try:
            self.session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
        except Exception as error:  # onnxruntime's own errors derive from nothing else
            raise ValueError(f"model {path} cannot be read: {first_line(error)}; it should be an ONNX file") from error
        inputs = self.session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        expected = (3, *input_size)
        # A dimension that is not fixed is None or a name.
        fits = all(not isinstance(side, int) or side == own for side, own in zip(shape[1:], expected))
        if len(shape) != 4 or not fits or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{each.type} {tuple(each.shape)}" for each in inputs)
            raise ValueError(
                f"model {path} should have one input, tensor(float) (N, 3, {input_size[0]}, {input_size[1]}), got "
                f"{found}; set input_size to the height and width of the network's input"
            )
        self.name = inputs[0].name
        self.at_once = shape[0] if isinstance(shape[0], int) else None

    def forward(self, images: Tensor) -> list[Tensor]:
        parts = images.split(self.at_once) if self.at_once else [images]
        if self.at_once and len(images) % self.at_once:
            raise ValueError(f"the network takes {self.at_once} images at a time, got {len(images)}; export it for one")
        found = [self.session.run(None, {self.name: part.float().cpu().numpy()}) for part in parts]
        return [torch.cat([torch.from_numpy(one) for one in same]).to(images.device) for same in zip(*found)]
