"""Read, crop and collate photographs with little work per image."""

from __future__ import annotations

import io
from typing import Any, Sequence

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import FUNCTIONS
from mmpretrain.datasets.transforms import RandomResizedCrop
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from ..check.images import read_header
from ..check.strict import StrictLoadImage

_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

Box = tuple[int, int, int, int]


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(StrictLoadImage):
    """Read an image and crop it at random, in place of ``LoadImageFromFile`` and ``RandomResizedCrop``.

    The crop is drawn first, from the size in the file's header, by mmpretrain's ``RandomResizedCrop`` itself; so the
    same seed gives the same box. If the box has at least 2, 4 or 8 times the output's height and width, libjpeg
    decodes the image at 1/2, 1/4 or 1/8 of its size, which takes less time, and the box is rounded to that grid.
    Otherwise the result is bit-identical to that of the two transforms. An image is rotated by its EXIF orientation
    before the crop, as there.

    Added keys: ``img``, uint8 BGR (H, W, 3); ``img_shape``; ``ori_shape``; ``crop_box``, (top, left, height, width) in
    pixels of the whole image.

    Args:
        scale: side of the output, or (height, width), pixels.
        crop_ratio_range: area of the crop relative to the image. Defaults to (0.08, 1.0).
        aspect_ratio_range: width over height of the crop. Defaults to (3/4, 4/3).
        max_attempts: draws before the largest central crop is used. Defaults to 10.
        interpolation: mmcv's name. Defaults to ``'bilinear'``.
        decode: whether to decode and crop. With False, ``img`` is the encoded JPEG, uint8 (bytes,), for a data
            preprocessor that decodes on a GPU (never run on a GPU); an image that a GPU may not decode in the same way
            (rotated by EXIF, not a JPEG, CMYK) is encoded again with quality 100. Defaults to True.
        ignore_empty, backend_args: as in ``LoadImageFromFile``.

    Raises:
        DataError: a file or record is missing, truncated or not an image; the message names it.
    """

    def __init__(
        self,
        scale: int | Sequence[int],
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        max_attempts: int = 10,
        interpolation: str = "bilinear",
        decode: bool = True,
        ignore_empty: bool = False,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(ignore_empty=ignore_empty, backend_args=backend_args)
        self.crop = RandomResizedCrop(scale, crop_ratio_range, aspect_ratio_range, max_attempts, interpolation)
        self.decode = decode

    def _load(self, path: str) -> np.ndarray:
        raise NotImplementedError  # transform does not call it

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Add the crop of ``results['img_path']``."""
        path = results["img_path"]
        try:
            if self.decode:
                image, box, shape = self.load_crop(path)
            else:
                image, box, shape = self.load_encoded(path)
        except ValueError:
            if self.ignore_empty:
                return None
            raise
        results.update(img=image, img_shape=image.shape[:2], ori_shape=shape, crop_box=box)
        return results

    def load_crop(self, path: str) -> tuple[np.ndarray, Box, tuple[int, int]]:
        """Image, box and the shape (height, width) of the whole image."""
        content = self._read(path)
        height, width = self.crop.scale
        shape = _shape(content)
        if shape is not None and shape[0] >= 2 * height and shape[1] >= 2 * width:
            state = np.random.get_state()
            box = self.draw(shape)
            factor = next((each for each in _REDUCED if box[2] >= each * height and box[3] >= each * width), 1)
            image = self._decode(path, content, _REDUCED.get(factor, "color"))
            if image.shape[:2] == (-(-shape[0] // factor), -(-shape[1] // factor)):
                return self.resize(image, box, factor), box, shape
            # The header was misread, such as an orientation that Pillow and OpenCV understand differently.
            np.random.set_state(state)
        image = self._decode(path, content, "color")
        box = self.draw(image.shape[:2])
        return self.resize(image, box, 1), box, image.shape[:2]

    def draw(self, shape: tuple[int, int]) -> Box:
        """Draw the box for an image of a shape (height, width): (top, left, height, width)."""
        # Only the shape is read.
        return self.crop.rand_crop_params(np.broadcast_to(np.uint8(0), shape))

    def resize(self, image: np.ndarray, box: Box, factor: int) -> np.ndarray:
        """Crop and resize an image that was decoded at 1/``factor`` of its size."""
        top, left, height, width = box
        rows, columns = ((round(a / factor), round((a + n) / factor)) for a, n in ((top, height), (left, width)))
        part = image[slice(*rows), slice(*columns)]
        return mmcv.imresize(part, tuple(self.crop.scale[::-1]), interpolation=self.crop.interpolation, backend="cv2")

    def load_encoded(self, path: str) -> tuple[np.ndarray, Box, tuple[int, int]]:
        """The encoded JPEG, its box and its shape (height, width)."""
        content = self._read(path)
        shape = _shape(content, plain_jpeg=True)
        if shape is None:
            image = self._decode(path, content, "color")
            shape = image.shape[:2]
            content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        return np.frombuffer(content, np.uint8), self.draw(shape), shape


def _shape(content: bytes, plain_jpeg: bool = False) -> tuple[int, int] | None:
    """Height and width as OpenCV decodes an image, from its header; None if unknown, or not a plain JPEG if asked."""
    header = read_header(io.BytesIO(content), True)
    if header is None:
        return None
    if plain_jpeg and (not content.startswith(b"\xff\xd8") or b"Exif\0" in content[:4096] or b"Adobe" in content[:4096]):
        return None
    return header[0][::-1]


@TRANSFORMS.register_module()
class PackTensors(BaseTransform):
    """The end of a pipeline whose batches are tensors: no object for each sample, which workers would have to pickle.

    Required keys: ``img``, uint8 (H, W, 3), and ``gt_label``. With ``crop_box``, an encoded ``img`` (bytes,) too.

    Returns ``inputs``, uint8 (3, H, W), a view of the image, and ``data_samples``, the class number, int64 (). For an
    encoded image, ``inputs`` is uint8 (bytes,), and there is ``crop_boxes``, int64 (4,).
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Tensor]:
        """Make tensors of the image and the label."""
        image = results["img"]
        packed = dict(data_samples=torch.tensor(int(results["gt_label"])))
        if image.ndim == 1:
            # A tensor cannot share memory that is read-only.
            return dict(packed, inputs=torch.from_numpy(image.copy()), crop_boxes=torch.tensor(results["crop_box"]))
        return dict(packed, inputs=torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1))


@FUNCTIONS.register_module()
def channels_last_batch(samples: Sequence[dict[str, Tensor]]) -> dict[str, Any]:
    """Collate the samples of :class:`PackTensors`.

    Returns:
        ``inputs``, (N, 3, H, W), ``channels_last`` in memory, so that each image is one copy; encoded images stay a
        list. The other entries are stacked.
    """
    batch: dict[str, Any] = {name: [sample[name] for sample in samples] for name in samples[0]}
    if batch["inputs"][0].dim() == 3:
        # In a worker, collated batches belong in shared memory, from which the main process reads them without a copy.
        rows = [image.permute(1, 2, 0) for image in batch["inputs"]]
        batch["inputs"] = torch.utils.data.default_collate(rows).permute(0, 3, 1, 2)
    return {name: values if isinstance(values, Tensor) or name == "inputs" else torch.stack(values)
            for name, values in batch.items()}
