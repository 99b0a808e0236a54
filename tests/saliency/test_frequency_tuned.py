"""Frequency-tuned saliency, beside a plain version in numpy and scikit-image."""

import numpy as np
import pytest
import torch

from smix_mm.saliency import FrequencyTunedSaliency, build_detector
from smix_mm.saliency.frequency import cielab

color = pytest.importorskip("skimage.color")
ndimage = pytest.importorskip("scipy.ndimage")


def plain_version(uint8_image: np.ndarray) -> np.ndarray:
    lab = color.rgb2lab(uint8_image)
    blurred = lab
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
    distance = np.linalg.norm(blurred - lab.mean((0, 1)), axis=2)
    return (distance - distance.min()) / np.ptp(distance)


def test_equals_the_plain_version_on_photographs(imagenet_images, skimage_images, as_batch):
    detector = build_detector({"type": "FrequencyTunedSaliency"})
    small = [uint8_image for uint8_image in skimage_images if uint8_image.size < 5 * 10**5]
    for uint8_image in imagenet_images[::6] + small:
        saliency_map = detector(as_batch(uint8_image))[0]
        assert saliency_map.dtype == torch.float32
        np.testing.assert_allclose(saliency_map.numpy(), plain_version(uint8_image), atol=2e-5)


def test_every_colour_goes_to_cielab_as_in_skimage():
    steps = torch.arange(0, 256, 5, dtype=torch.uint8)
    colours = torch.cartesian_prod(steps, steps, steps)
    ours = cielab(colours.T[None, :, None])[0, :, 0].T
    np.testing.assert_allclose(ours.numpy(), color.rgb2lab(colours.numpy()), atol=2e-3)


@pytest.mark.parametrize("size", [(5, 9), (17, 200), (64, 64)])
def test_maps_fill_the_unit_range_unless_there_is_no_contrast(size, made_up_images):
    uint8_images = made_up_images(*size)
    images = torch.stack(list(uint8_images.values()))
    before = images.clone()
    maps = FrequencyTunedSaliency()(images)
    assert maps.shape == (len(images), *size) and torch.equal(images, before)
    for (name, uint8_image), saliency_map in zip(uint8_images.items(), maps):
        # The blur takes a checkerboard of single pixels away altogether.
        if name == "checkerboard" or (uint8_image == uint8_image[:, :1, :1]).all():
            assert not saliency_map.any()
        else:
            assert saliency_map.min() == 0 and saliency_map.max() == 1


def test_one_grey_level_in_one_pixel_is_contrast():
    images = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    images[0, 2, 5, 7] += 1
    assert FrequencyTunedSaliency().peak(images).tolist() == [[5, 7]]
