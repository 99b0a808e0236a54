"""Real pictures in small."""

from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Config of four photographs that scikit-image brings, 224x224, mixed by SaliencyMix."""
    if find_spec("skimage") is None:
        pytest.skip("no scikit-image, whose photographs are needed: pip install scikit-image")
    return ROOT / "docs/figures/photographs.py"


@pytest.fixture(scope="session")
def crops(photographs, tmp_path_factory) -> Path:
    """CIFAR-10 in small, of 32x32 crops of those photographs: train/<class>/*.png and test/<class>/*.png."""
    import cv2
    import numpy as np

    from smix_mm.visualization.picture_files import list_pictures, random_crops, read_picture

    out, random = tmp_path_factory.mktemp("crops"), np.random.default_rng(0)
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
    for number, path in enumerate(list_pictures([f"skimage:{name}" for name in names])):
        for index, crop in enumerate(random_crops(read_picture(path), 32, 20, random)):
            for split in ("train", "test"):
                folder = out / split / classes[(4 * index + number) % 10]
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{number}_{index}.png"), crop[:, :, ::-1])
    return out
