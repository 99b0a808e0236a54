"""Read, crop and collate photographs with little work per image."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, Sequence

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import FUNCTIONS
from mmpretrain.datasets.transforms import RandomResizedCrop
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import default_collate

from ..check.images import read_size
from ..check.strict import StrictLoadImage

_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

# A shorter file has hardly ever twice the pixels that a crop needs, and to read its header would take longer.
_LARGE_FILE = 1 << 16

Box = tuple[int, int, int, int]


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(StrictLoadImage):
    """Read an image and crop it at random, in place of ``LoadImageFromFile`` and ``RandomResizedCrop``.

    The crop is drawn first, from the size in the file's header, by mmpretrain's ``RandomResizedCrop`` itself; so the
    same seed gives the same box. If the box has at least 2, 4 or 8 times the output's height and width, and the file at
    least 64 KiB, libjpeg decodes the image at 1/2, 1/4 or 1/8 of its size, and the box is resized bilinearly from
    there: less time, less aliasing, and slightly different pixels. Otherwise they are bit-identical to those of the
    two transforms. An image is rotated by its EXIF orientation before the crop, as there.

    Added keys: ``img``, uint8 BGR (H, W, 3); ``img_shape``; ``ori_shape``; ``crop_box``, (top, left, height, width) in
    pixels of the whole image.

    Args:
        scale: side of the output, or (height, width), pixels.
        crop_ratio_range: area of the crop relative to the image. Defaults to (0.08, 1.0).
        aspect_ratio_range: width over height of the crop. Defaults to (3/4, 4/3).
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
        decode: bool = True,
        ignore_empty: bool = False,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(ignore_empty=ignore_empty, backend_args=backend_args)
        self.crop = RandomResizedCrop(scale, crop_ratio_range, aspect_ratio_range)
        self.decode = decode

    def load(self, path: str) -> dict[str, Any]:
        """``img``, ``img_shape``, ``ori_shape`` and ``crop_box`` of an image file."""
        image, box, shape = self.load_crop(path) if self.decode else self.load_encoded(path)
        return dict(img=image, img_shape=image.shape[:2], ori_shape=shape, crop_box=box)

    def load_crop(self, path: str) -> tuple[np.ndarray, Box, tuple[int, int]]:
        """Image, box and the shape (height, width) of the whole image."""
        content = self._read(path)
        height, width = self.crop.scale
        shape = _shape(content) if len(content) >= _LARGE_FILE else None
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
        # mmpretrain reads nothing else of the image.
        return self.crop.rand_crop_params(SimpleNamespace(shape=shape))

    def resize(self, image: np.ndarray, box: Box, factor: int) -> np.ndarray:
        """Crop and resize an image that was decoded at 1/``factor`` of its size."""
        top, left, height, width = box
        rows, columns = self.crop.scale
        if factor == 1:
            part = image[top : top + height, left : left + width]
            return mmcv.imresize(part, (columns, rows), backend="cv2")
        # The box may lie between the pixels of the reduced image.
        steps = width / columns, height / rows
        starts = left + steps[0] / 2, top + steps[1] / 2
        place = np.array([[steps[0], 0, starts[0]], [0, steps[1], starts[1]]]) / factor - [[0, 0, 0.5]]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, place, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def load_encoded(self, path: str) -> tuple[np.ndarray, Box, tuple[int, int]]:
        """The encoded JPEG, its box and its shape (height, width)."""
        content = self._read(path)
        shape = _shape(content) if _is_plain_jpeg(content) else None
        if shape is None:
            image = self._decode(path, content, "color")
            shape = image.shape[:2]
            content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        return np.frombuffer(content, np.uint8), self.draw(shape), shape


def _shape(content: bytes) -> tuple[int, int] | None:
    """Height and width as OpenCV decodes an image, from its header; None if unknown."""
    size = read_size(content)
    return size and size[::-1]


def _is_plain_jpeg(content: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.format == "JPEG" and image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1
    except Exception:  # a broken header can raise anything; OpenCV then decides
        return False


@TRANSFORMS.register_module()
class PackTensors(BaseTransform):
    """The end of a pipeline whose batches are tensors: no object for each sample, which a worker would have to pickle.

    Required keys: ``img``, uint8 (H, W, 3), and ``gt_label``; with an encoded ``img`` (bytes,), ``crop_box`` too.

    Returns ``inputs``, (3, H, W), a view of the image, and ``data_samples``, the class number; for an encoded image,
    ``inputs`` (bytes,), and ``crop_boxes``, its four numbers. :func:`channels_last_batch` makes tensors of them.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Keep the image and the label."""
        image, label = results["img"], int(results["gt_label"])
        if image.ndim == 1:
            return dict(inputs=image, data_samples=label, crop_boxes=np.array(results["crop_box"]))
        return dict(inputs=image.transpose(2, 0, 1), data_samples=label)


@FUNCTIONS.register_module()
def channels_last_batch(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Collate the samples of :class:`PackTensors`.

    Returns:
        ``inputs``, uint8 (N, 3, H, W), ``channels_last`` in memory, so that each image is one copy, or a list of
        encoded images, uint8 (bytes,); ``data_samples``, int64 (N,); for encoded images, ``crop_boxes``, int64 (N, 4).
    """
    images = [sample["inputs"] for sample in samples]
    batch = {name: default_collate([sample[name] for sample in samples]) for name in samples[0] if name != "inputs"}
    if images[0].ndim == 1:
        # Copied, because a tensor cannot share memory that is read-only.
        return dict(batch, inputs=[torch.from_numpy(image.copy()) for image in images])
    # In a worker, torch collates into shared memory, from which the main process reads without a copy.
    return dict(batch, inputs=default_collate([image.transpose(1, 2, 0) for image in images]).permute(0, 3, 1, 2))
