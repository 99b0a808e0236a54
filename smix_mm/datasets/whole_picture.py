"""Transforms that put a name to a bad file, and keep bad boxes from the loss, while training runs."""

from __future__ import annotations

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.registry import TRANSFORMS

from .findings import DataError
from .guard import usable_box
from .picture_check import is_whole


@TRANSFORMS.register_module()
class LoadWholePicture(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, for picture files whose end is there.

    Decoders differ in what they make of a JPEG that breaks off: OpenCV 4.10 and 4.11 fill the rest with what they
    decoded before (https://github.com/opencv/opencv/issues/26488), later ones give nothing, and Pillow raises
    without the file's name. Takes the same arguments.

    Raises:
        DataError: a picture is missing, is none, or breaks off; the message names it. With
            ``ignore_empty=True`` it is passed over instead, as in mmcv.
    """

    def transform(self, results: dict) -> dict | None:
        """Adds ``img``, ``img_shape``, ``ori_shape`` to ``results``, from ``img_path``."""
        path = results["img_path"]
        try:
            img = self._load(path)
        except DataError:
            if self.ignore_empty:
                return None
            raise
        results["img"] = img.astype(np.float32) if self.to_float32 else img
        results["img_shape"] = results["ori_shape"] = img.shape[:2]
        return results

    def _load(self, path: str) -> np.ndarray:
        try:
            if self.file_client_args is not None:
                content = fileio.FileClient.infer_client(self.file_client_args, path).get(path)
            else:
                content = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError:
            raise _error(path, "is not there") from None
        except OSError as error:
            raise _error(path, f"cannot be read ({error.strerror or error})") from None
        if not is_whole(content):
            raise _error(path, f"breaks off after {len(content)} bytes")
        try:
            img = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        except Exception as error:  # decoders have many ways to refuse bytes
            raise _error(path, f"is no picture ({type(error).__name__} in decoding)") from None
        if img is None:
            raise _error(path, "is no picture that can be decoded")
        return img


@TRANSFORMS.register_module()
class MendBoxes(BaseTransform):
    """Leave out boxes without area or wholly outside of their picture, and clip those that leave it.

    The logarithm of a box side of zero turns the box loss into NaN. It goes between the loading of
    the picture and ``LoadAnnotations``, and changes nothing of good boxes.
    """

    def transform(self, results: dict) -> dict:
        """Mends ``instances``, each with ``bbox`` (x1, y1, x2, y2) in pixels from 0, by ``img_shape``."""
        height, width = results["img_shape"]
        instances = [one for one in results.get("instances", ()) if usable_box(one["bbox"], (width, height))]
        for one in instances:
            x1, y1, x2, y2 = one["bbox"]
            one["bbox"] = [max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)]
        results["instances"] = instances
        return results


def _error(path: str, what: str) -> DataError:
    return DataError(
        f"picture {path} {what}; wanted whole pictures: python tools/check_data.py CONFIG names all that are not, "
        "and its --fix leaves them out"
    )
