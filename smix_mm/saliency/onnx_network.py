"""A salient-object network in an ONNX file, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..utils.errors import PackageError


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
            raise PackageError(
                f"model {path} needs onnxruntime, which is not installed; pip install onnxruntime"
            ) from error
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        available = onnxruntime.get_available_providers()
        providers = [name for name in wanted if name in available]
        try:
            self.session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
        except Exception as error:  # onnxruntime's own errors derive from nothing else
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"model {path} cannot be read: {reason}; it should be an ONNX file") from error
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
