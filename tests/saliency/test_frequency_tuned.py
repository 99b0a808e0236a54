"""Frequency-tuned saliency, beside a plain version in numpy and scikit-image."""

import numpy as np
import pytest
import torch

from smix_mm.saliency import FrequencyTunedSaliency, build_detector
from smix_mm.saliency.frequency_tuned import cielab

color = pytest.importorskip("skimage.color")
ndimage = pytest.importorskip("scipy.ndimage")


def plain_version(picture: np.ndarray) -> np.ndarray:
    lab = color.rgb2lab(picture)
    blurred = lab
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
    distance = np.linalg.norm(blurred - lab.mean((0, 1)), axis=2)
    return (distance - distance.min()) / np.ptp(distance)


def test_equals_the_plain_version_on_photographs(imagenet_pictures, skimage_pictures, as_batch):
    detector = build_detector({"type": "FrequencyTunedSaliency"})
    small = [picture for picture in skimage_pictures if picture.size < 5 * 10**5]
    for picture in imagenet_pictures[::6] + small:
        saliency_map = detector(as_batch(picture))[0]
        assert saliency_map.dtype == torch.float32
        np.testing.assert_allclose(saliency_map.numpy(), plain_version(picture), atol=2e-5)


def test_every_colour_goes_to_cielab_as_in_skimage():
    steps = torch.arange(0, 256, 5, dtype=torch.uint8)
    colours = torch.cartesian_prod(steps, steps, steps)
    ours = cielab(colours.T[None, :, None])[0, :, 0].T
    np.testing.assert_allclose(ours.numpy(), color.rgb2lab(colours.numpy()), atol=2e-3)


@pytest.mark.parametrize("size", [(5, 9), (17, 200), (64, 64)])
def test_maps_fill_the_unit_range_unless_there_is_no_contrast(size, made_up_pictures):
    pictures = made_up_pictures(*size)
    images = torch.stack(list(pictures.values()))
    before = images.clone()
    maps = FrequencyTunedSaliency()(images)
    assert maps.shape == (len(images), *size) and torch.equal(images, before)
    for (name, picture), saliency_map in zip(pictures.items(), maps):
        # The blur takes a checkerboard of single pixels away altogether.
        if name == "checkerboard" or (picture == picture[:, :1, :1]).all():
            assert not saliency_map.any()
        else:
            assert saliency_map.min() == 0 and saliency_map.max() == 1


def test_one_grey_level_in_one_pixel_is_contrast():
    images = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    images[0, 2, 5, 7] += 1
    assert FrequencyTunedSaliency().peak(images).tolist() == [[5, 7]]
