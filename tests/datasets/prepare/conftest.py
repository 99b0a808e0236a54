"""Images and archives that tests make up."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest


@pytest.fixture(scope="session")
def image():
    """A function: the bytes of a JPEG of noise, by its seed."""
    cv2 = pytest.importorskip("cv2")

    def make(seed: int, side: int = 16) -> bytes:
        noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
        return cv2.imencode(".jpg", noise)[1].tobytes()

    return make


@pytest.fixture(scope="session")
def tar():
    """A function: the bytes of a tar archive of contents, or of special members, by their names."""

    def make(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as archive:
            for name, content in members.items():
                if isinstance(content, tarfile.TarInfo):
                    archive.addfile(content)
                else:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        return out.getvalue()

    return make
