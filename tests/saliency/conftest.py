"""Images, real and made up, for the tests of detectors."""

from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from smix_mm.saliency import OpenCVSaliency


def read_image(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


@pytest.fixture(scope="session")
def as_batch() -> Callable[[np.ndarray], Tensor]:
    """uint8 (H, W, 3) to (1, 3, H, W), contiguous."""
    return lambda image: torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Images this small gain nothing from torch's threads, which spin while they wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def imagenet_images(smix_data: Path) -> list[np.ndarray]:
    paths = sorted((smix_data / "imagenet-samples").glob("*.JPEG"))
    if not paths:
        pytest.skip(f"no imagenet-samples in {smix_data}")
    return [read_image(path) for path in paths]


@pytest.fixture(scope="session")
def data_images(smix_data: Path, imagenet_images: list[np.ndarray]) -> list[np.ndarray]:
    """Photographs of objects, of scenes and through a microscope."""
    scenes = sorted(smix_data.glob("VOCdevkit/*/JPEGImages/*.jpg"))
    cells = sorted(smix_data.glob("BCCD/JPEGImages/*.jpg"))
    if not scenes or not cells:
        pytest.skip(f"no VOCdevkit or no BCCD in {smix_data}")
    chosen = scenes[:: max(1, len(scenes) // 12)] + cells[:: max(1, len(cells) // 4)]
    return imagenet_images + [read_image(path) for path in chosen]


@pytest.fixture(scope="session")
def skimage_images() -> list[np.ndarray]:
    """What scikit-image's wheel holds: grey and coloured images, photographs and pages."""
    skimage = pytest.importorskip("skimage")
    folder = Path(skimage.__file__).parent / "data"
    return [read_image(path) for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg")]


def grey(plane: np.ndarray) -> Tensor:
    return torch.from_numpy(plane.astype(np.uint8)).expand(3, *plane.shape)


@pytest.fixture(scope="session")
def made_up_images() -> Callable[[int, int], dict[str, Tensor]]:
    """For a height and width: uint8 (3, H, W) each, by what is special about it."""
    return make_up_images


def make_up_images(height: int, width: int) -> dict[str, Tensor]:
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 256, (3, height, width))
    lone = (y == height // 3) & (x == width // 2)
    return {
        "noise": torch.from_numpy(noise.astype(np.uint8)),
        "bright noise": torch.from_numpy((200 + noise % 56).astype(np.uint8)),
        "grey noise": grey(noise[0]),
        "horizontal gradient": grey(x * 255 // (width - 1)),
        "vertical gradient": grey(y * 255 // (height - 1)),
        "diagonal gradient": grey((x + y) % 256),
        "checkerboard": grey((x + y) % 2 * 255),
        "coarse checkerboard": grey((x // 8 + y // 8) % 2 * 255),
        "half white": grey((x > width // 2) * 255),
        "one bright pixel": grey(lone * 255),
        "one dark pixel": grey(~lone * 255),
        "black": grey(0 * x),
        "white": grey(0 * x + 255),
        "flat": grey(0 * x + 100),
    }


@pytest.fixture(scope="session")
def opencv_map() -> Callable[..., Tensor]:
    """OpenCV's map of uint8 (N, 3, H, W)."""
    try:
        detectors = {method: OpenCVSaliency(method) for method in ("fine_grained", "spectral_residual")}
    except ImportError as error:
        pytest.skip(str(error))

    def compute(images: Tensor, method: str = "fine_grained") -> Tensor:
        return detectors[method](images)

    return compute
