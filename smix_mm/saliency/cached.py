"""Maps of a slow detector, kept in a folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import torch
from torch import Tensor

from ..utils.files import content_hash
from .base import SaliencyDetector, build_detector, register


@register
class CachedSaliency(SaliencyDetector):
    """Another detector's maps, each computed once and kept in a folder, also for later runs.

    A map belongs to the bytes of an image and to the detector's settings (with its files' hashes), so another image,
    detector or setting never gets it. This pays off where the same image comes again, byte for byte: with
    ``saliency_before_crop`` on the fast path, in tools, and without random crops; not for random crops themselves.

    A map is a file ``<folder>/<settings>/<two digits>/<image>.npy``, float32 (H, W): 4 kB for an image of 32x32 pixels.
    It is written under a temporary name and renamed, so that several processes may share the folder, but not synced to
    the disk; a damaged file is computed again.

    Args:
        detector: the config of the detector.
        folder: where the maps are; it may be deleted at any time.

    Raises:
        TypeError, ValueError: ``detector`` is not the config of a detector, which consists of plain values.
    """

    def __init__(self, detector: Mapping[str, Any], folder: str | Path) -> None:
        if not isinstance(detector, Mapping):
            raise TypeError(f"detector should be a config such as dict(type='NetworkSaliency', ...), got {detector!r}")
        try:
            json.dumps(detector)
        except TypeError as error:
            # A module's text does not show its weights.
            raise TypeError(f"detector should have plain values only, in a config, for the cache: {error}") from error
        self.detector = build_detector(detector)
        settings = {**detector, "files": getattr(self.detector, "file_hashes", dict)()}
        self.folder = Path(folder) / content_hash(settings)[:16]

    def saliency(self, images: Tensor) -> Tensor:
        maps = torch.zeros((len(images), *images.shape[2:]))
        paths = [self._path(image) for image in images.cpu().numpy()]
        found = [_read(path, images.shape[2:]) for path in paths]
        missing = [index for index, one in enumerate(found) if one is None]
        computed = iter(self.detector.saliency(images[missing]).cpu().numpy() if missing else ())
        for index, one in enumerate(found):
            if one is None:
                one = next(computed)
                _write(paths[index], one)
            maps[index] = torch.from_numpy(one)
        return maps.to(images.device)

    def _path(self, image: np.ndarray) -> Path:
        digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest}.npy"


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None


def _write(path: Path, saliency_map: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".npy", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, saliency_map)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
